# Everything sets itself up: `make demo` and `make test` need Python 3.11 (or newer), make, and a package index.
PYTHON ?= python3
# A package is made by, and for, the Python of the machine.
DEB_PYTHON ?= /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
SUPPLY := .venv-supply
SITE   := .venv-docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint types layers coverage mutants mutants-sample check bench soak prove docs deb exposure audit sbom lock format clean

help:  ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The environment is complete when the stamp is newer than the locks. Hashes are required for everything that is fetched;
# the project itself is then linked in place.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "rotator needs Python 3.11 or newer; say which with: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# What looks at our dependencies has an environment of its own: nothing of it comes near the program.
$(SUPPLY)/.ready: requirements/supply.txt
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --require-hashes -r requirements/supply.txt
	@touch $@

# The generator of the site has an environment of its own as well (docs/decisions/0031).
$(SITE)/.ready: requirements/docs.txt
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --require-hashes -r requirements/docs.txt
	@touch $@

demo: $(VENV)/.ready  ## the whole life cycle on this machine, in under a minute
	@$(BIN)/rotator demo

test: $(VENV)/.ready $(SUPPLY)/.ready $(SITE)/.ready  ## the whole suite, one summary
	$(BIN)/python -m pytest -n auto --dist loadfile

# What decides and what carries it out, the configuration and the documents: no server, no other process.
FAST := tests/decision tests/domain tests/util tests/config tests/docs tests/operations tests/reconciler/test_runner.py \
	tests/reconciler/test_protocol.py tests/reconciler/test_containment.py tests/reconciler/test_ownership.py \
	tests/vault/test_codec.py tests/vault/test_responses.py tests/observability/test_events.py \
	tests/proof/test_planted_words.py

test-fast: $(VENV)/.ready  ## the tests that answer within a minute and a half
	$(BIN)/python -m pytest -q -n auto --dist loadfile $(FAST)

lint: $(VENV)/.ready  ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready  ## types
	$(BIN)/mypy

layers: $(VENV)/.ready  ## who may import whom
	$(BIN)/lint-imports

coverage: $(VENV)/.ready  ## every branch of the core is reached by its fast tests
	$(BIN)/python -m tests.mutants.coverage

mutants: $(VENV)/.ready  ## change the core in thousands of small ways: the tests notice each (JOBS=2; can be resumed)
	nice -n 10 $(BIN)/python -m tests.mutants

mutants-sample: $(VENV)/.ready  ## the same for a sample of the configuration's mutants, in under a minute on a quiet machine
	$(BIN)/python -m tests.mutants --packages config --sample 40

check: lint types layers test coverage  ## everything that CI runs

bench: $(VENV)/.ready  ## speed, as ratios in one run
	$(BIN)/python -m tests.bench

soak: $(VENV)/.ready  ## a daemon at work for HOURS=2, with faults: fails when it grows
	$(BIN)/python -m tests.soak --hours $(or $(HOURS),2) --keep dist/soak

prove: $(VENV)/.ready  ## the whole proof, with progress; SEED=n goes on with an earlier one
	$(BIN)/python -m tests.proof $(if $(SEED),--seed $(SEED))

docs: $(SITE)/.ready  ## the documents as a site with search, in build/site; a broken link or an unlisted page fails
	$(SITE)/bin/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --conf-dir tools/site --doctree-dir build/site.cache . build/site
	@echo "build/site/index.html"

deb:  ## the Debian package for this machine, in dist/
	@$(DEB_PYTHON) tools/deb.py

exposure:  ## how exposed the service is, as systemd sees it; more than 0.9 fails
	systemd-analyze security --offline=true --no-pager --threshold=9 systemd/rotator.service

audit: $(SUPPLY)/.ready  ## known vulnerabilities of what we install (AUDIT=--soft: unanswered is no failure)
	$(SUPPLY)/bin/python tools/audit.py $(AUDIT) requirements/notify.txt requirements/dev.txt requirements/build.txt requirements/supply.txt requirements/docs.txt

sbom: dist/run.cdx.json dist/notify.cdx.json  ## what an installation consists of, as CycloneDX, from the locks

dist/%.cdx.json: requirements/%.txt pyproject.toml $(SUPPLY)/.ready
	@mkdir -p dist
	$(SUPPLY)/bin/python -W ignore::UserWarning -m cyclonedx_py requirements $< --pyproject pyproject.toml --output-reproducible --output-file $@

format: $(VENV)/.ready  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK = uv pip compile -q --upgrade pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header

lock: $(VENV)/.ready  ## newer versions of everything, with hashes (needs uv)
	$(LOCK) --extra sandbox --extra notify --group test --group prove --group lint -o requirements/dev.txt
	$(LOCK) -o requirements/run.txt
	$(LOCK) -c requirements/dev.txt --extra notify -o requirements/notify.txt
	uv pip compile -q --upgrade -c requirements/dev.txt --group build --universal --python-version 3.11 --generate-hashes --no-header -o requirements/build.txt
	uv pip compile -q --upgrade --group supply --universal --python-version 3.11 --generate-hashes --no-header -o requirements/supply.txt
	uv pip compile -q --upgrade --group docs --universal --python-version 3.11 --generate-hashes --no-header -o requirements/docs.txt

clean:  ## forget the environment and every cache
	rm -rf $(VENV) $(SUPPLY) $(SITE) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
