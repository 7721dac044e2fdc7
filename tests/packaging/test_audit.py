"""The audit: what is open fails, what could not be judged is not called good, exceptions end."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.audit import EXCEPTIONS, FURTHEST, Answer, Exempt, Finding, judge, read_answer, read_exceptions

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-supply" / "bin" / "python"
TODAY = date(2026, 6, 1)
FOUND = Finding("jinja2", "2.10", ("PYSEC-2019-217", "CVE-2019-10906", "GHSA-462w-v97r-4m45"), ("2.10.1",))
EXEMPT = Exempt("CVE-2019-10906", "jinja2", TODAY, "no template of ours is written by others")


def answer(*findings: Finding, unaudited: tuple[str, ...] = ()) -> Answer:
    return Answer(frozenset({"jinja2", "click"}), findings, unaudited)


def test_nothing_found_is_good() -> None:
    verdict = judge(answer(), [], TODAY)
    assert (verdict.code, verdict.lines) == (0, ("2 packages audited, 0 open",))


def test_a_finding_fails_also_softly_and_says_what_mends_it() -> None:
    verdict = judge(answer(FOUND), [], TODAY, soft=True)
    assert verdict.code == 1
    assert "OPEN: jinja2 2.10: PYSEC-2019-217, CVE-2019-10906, GHSA-462w-v97r-4m45; fixed in 2.10.1" in verdict.lines


def test_an_exception_counts_through_its_last_day_under_any_name_of_the_finding() -> None:
    verdict = judge(answer(FOUND), [EXEMPT], TODAY)
    assert verdict.code == 0
    assert verdict.lines[0].startswith("excepted until 2026-06-01: jinja2 2.10")


def test_an_exception_that_is_over_fails_also_when_its_finding_is_gone_and_also_softly() -> None:
    for findings in ((FOUND,), ()):
        verdict = judge(answer(*findings), [EXEMPT], TODAY + timedelta(days=1), soft=True)
        assert verdict.code == 1
        assert any(line.startswith("OVER: the exception for CVE-2019-10906 of jinja2") for line in verdict.lines)


def test_an_exception_is_for_one_package_alone() -> None:
    other = Exempt("CVE-2019-10906", "click", TODAY, "…")
    assert judge(answer(FOUND), [other], TODAY).code == 1


def test_an_exception_that_nothing_needs_is_named_for_removal() -> None:
    verdict = judge(answer(), [EXEMPT], TODAY)
    assert verdict.code == 0
    assert "not needed: jinja2 has no CVE-2019-10906 any more; remove the exception" in verdict.lines


def test_what_could_not_be_audited_is_no_success_and_softly_it_is_still_said() -> None:
    unknown = answer(unaudited=("nothing known of x",))
    assert judge(unknown, [], TODAY).code == 3
    verdict = judge(unknown, [], TODAY, soft=True)
    assert verdict.code == 0
    assert "NOT AUDITED: 1 of 3 packages, nothing is known of them: nothing known of x" in verdict.lines


# --- the file of exceptions ---


def test_the_exceptions_that_we_have_can_be_read_and_none_is_over() -> None:
    today = datetime.now(UTC).date()
    for exempt in read_exceptions(EXCEPTIONS.read_text(), today):
        assert exempt.until >= today, f"the exception for {exempt.id} is over"


def entry(**changes: str) -> str:
    fields = {"id": '"CVE-1"', "package": '"Jinja2"', "until": str(TODAY), "reason": '"because"'} | changes
    return "[[exception]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items() if value)


def test_an_exception_is_read_with_its_date() -> None:
    assert read_exceptions(entry(), TODAY) == [Exempt("CVE-1", "jinja2", TODAY, "because")]


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "no reason": (entry(reason=""), "has exactly id, package, until and reason"),
        "an empty reason": (entry(reason='""'), "has exactly id, package, until and reason"),
        "no end": (entry(until=""), "has exactly id, package, until and reason"),
        "an end that is text": (entry(until='"2026-06-01"'), "is no date"),
        "an end far away": (entry(until=str(TODAY + FURTHEST + timedelta(days=1))), "more than 180 days ahead"),
        "something more": (entry(severity='"low"'), "has exactly id, package, until and reason"),
        "no TOML": ("[[exception", "at end of document"),
    }.values(),
    ids=lambda value: "",
)
def test_an_exception_that_is_not_complete_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_exceptions(text, TODAY)


def test_a_package_that_the_service_does_not_know_counts_as_not_audited() -> None:
    report = {
        "dependencies": [
            {"name": "Click", "version": "8.1", "vulns": []},
            {"name": "untracked", "skip_reason": "not found"},
            {
                "name": "jinja2",
                "version": "2.10",
                "vulns": [{"id": FOUND.ids[0], "aliases": list(FOUND.ids[1:]), "fix_versions": ["2.10.1"]}],
            },
        ]
    }
    assert read_answer(report) == Answer(frozenset({"click", "jinja2"}), (FOUND,), ("not found",))


# --- with the real pip-audit, and a service of ours ---


@pytest.fixture
def service() -> Iterator[str]:
    """An OSV service that knows of one vulnerability."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known: dict[str, Any] = {"id": "GHSA-test", "aliases": ["CVE-1"], "summary": "bad", "affected": []}
            body = json.dumps({"vulns": [known]} if asked["package"]["name"] == "jinja2" else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(tmp_path: Path, lock: str, url: str, *options: str, exceptions: str = "") -> subprocess.CompletedProcess[str]:
    if not PYTHON.exists():
        pytest.skip("there is no environment with pip-audit; `make test` makes it")
    (tmp_path / "lock.txt").write_text(lock)
    (tmp_path / "exceptions.toml").write_text(exceptions)
    command: list[str | Path] = [PYTHON, ROOT / "tools" / "audit.py", "--service", "osv", "--osv-url", url]
    command += ["--exceptions", tmp_path / "exceptions.toml", *options, tmp_path / "lock.txt"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)


HASH = f"--hash=sha256:{'0' * 64}"


def test_the_real_pip_audit_finds_what_the_service_knows(tmp_path: Path, service: str) -> None:
    done = audit(tmp_path, f"click==8.1 {HASH}\njinja2==2.10 {HASH}\n", service)
    assert done.returncode == 1, done.stderr
    assert "OPEN: jinja2 2.10: CVE-1, GHSA-test; no release mends it yet" in done.stdout
    assert "2 packages audited, 1 open" in done.stdout


def test_the_real_pip_audit_with_an_exception_is_content(tmp_path: Path, service: str) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    text = f'[[exception]]\nid = "CVE-1"\npackage = "jinja2"\nuntil = {tomorrow}\nreason = "a test"\n'
    done = audit(tmp_path, f"jinja2==2.10 {HASH}\n", service, exceptions=text)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "excepted until" in done.stdout


def test_a_service_that_is_away_is_said_and_fails_unless_softly(tmp_path: Path) -> None:
    lock, nowhere = f"click==8.1 {HASH}\n", "http://127.0.0.1:1/v1/query"
    assert audit(tmp_path, lock, nowhere).returncode == 3
    done = audit(tmp_path, lock, nowhere, "--soft")
    assert done.returncode == 0
    assert "NOT AUDITED: 1 of 1 packages" in done.stdout


def test_a_broken_lock_is_no_service_that_is_away(tmp_path: Path, service: str) -> None:
    done = audit(tmp_path, f"click==8.1 {HASH}\nclick==8.2 {HASH}\n", service, "--soft")
    assert done.returncode == 2
    assert "pip-audit failed" in done.stdout


# --- what an installation consists of ---


def test_the_bill_of_materials_has_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("there is no environment with cyclonedx-bom; `make test` makes it")
    told = []
    for _ in range(2):
        command: list[str | Path] = [
            PYTHON,
            "-W",
            "ignore::UserWarning",
            "-m",
            "cyclonedx_py",
            "requirements",
            "requirements/run.txt",
        ]
        command += ["--pyproject", "pyproject.toml", "--output-reproducible"]
        told.append(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout)
    assert told[0] == told[1]
    bill = json.loads(told[0])
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "rotator")
    locked = [
        line.split("==")[0] for line in (ROOT / "requirements" / "run.txt").read_text().splitlines() if "==" in line
    ]
    assert sorted(one["name"] for one in bill["components"]) == sorted(locked)
    for one in bill["components"]:
        assert one["purl"].startswith("pkg:pypi/")
        assert any(reference.get("hashes") for reference in one["externalReferences"])
    assert str(ROOT) not in told[0]
