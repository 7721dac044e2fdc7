"""The trees that are mutated: copies of the project in ``build/mutants``, one for each area, so that nothing of the project is edited.

mutmut leaves decorated functions alone, and half of the questions that the rules ask are properties. In the copy they are written
in the way that means the same and that mutmut does see: a plain method, and below it ``name = property(name)``.
"""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import libcst as cst

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]

ENVIRONMENT = {**os.environ, "ROTATOR_HISTORIES": "20", "CI": "1"}
"""What the tests run with: few random histories, and hypothesis (which looks for ``CI``) without chance."""


@dataclass(frozen=True)
class Area:
    """Modules that are mutated together, and the tests that judge them."""

    name: str
    bar: float
    """Percent of the mutants that must be killed."""

    patterns: tuple[str, ...]
    tests: tuple[str, ...]
    """Files and folders: fast, and the same at every run."""

    options: tuple[str, ...] = ("-p", "no:cacheprovider", "-p", "no:xdist")
    excluded: tuple[str, ...] = field(default=())
    """Patterns of modules that another area has."""

    @cached_property
    def modules(self) -> list[str]:
        """The files that are mutated; a file that defines no function has no mutants and is listed all the same."""
        found = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("rotator/**/*.py"))
        return [
            name
            for name in found
            if any(fnmatch(name, pattern) for pattern in self.patterns)
            and not any(fnmatch(name, pattern) for pattern in self.excluded)
        ]

    @property
    def tree(self) -> Path:
        """Where its copy of the project stands."""
        return ROOT / "build" / "mutants" / self.name

    @property
    def settings(self) -> str:
        """The table ``[tool.mutmut]`` of its tree; lists of strings are the same in JSON and TOML."""
        values = {
            "source_paths": ["rotator"],
            "only_mutate": self.modules,
            "pytest_add_cli_args_test_selection": list(self.tests),
            "pytest_add_cli_args": list(self.options),
            "also_copy": [
                name
                for name in ("config", "docs", "systemd", "tools", "README.md", "CHANGELOG.md")
                if (ROOT / name).exists()
            ],
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        return "\n".join(["[tool.mutmut]", *lines, "use_git_change_detection = false", ""])


CORE = Area(
    "core",
    90.0,
    tuple(SETTINGS["only_mutate"]),
    tuple(SETTINGS["pytest_add_cli_args_test_selection"]),
    tuple(SETTINGS["pytest_add_cli_args"]),
)
"""What decides and what carries it out: all of its branches are covered, and all of its mutants are tried."""


def _package(name: str, *tests: str, excluded: tuple[str, ...] = ()) -> Area:
    """A package outside of the core, with the tests of the mirrored tree."""
    return Area(
        name.rpartition("/")[2],
        85.0,
        (f"rotator/{name}/*.py",),
        tests or (f"tests/{name}",),
        excluded=(*CORE.patterns, *excluded),
    )


def _files(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/{folder}/test_{name}.py" for name in names)


PACKAGES = (
    _package(
        "api",
        *_files("api", "answers", "client", "exchange", "executor", "listeners", "openapi", "reports", "requests"),
        *_files("api", "slow", "tls_context", "webhook_auth", "webhook_hostile"),
    ),
    _package("config"),
    _package(
        "daemon",
        *_files(
            "daemon",
            *(
                "app",
                "application_task",
                "bulkheads",
                "composition",
                "deadline_alerts",
                "engine",
                "far_dates",
                "health_rounds",
                "login_problem",
                "look_spread",
                "looks",
                "looks_left",
                "main_loop",
            ),
            *("problem_channels", "scheduler", "service_monitor", "services", "shared_looks", "single_run", "spread"),
            "status_line",
            "unhealthy",
        ),
        "tests/observability/metrics/test_monitoring.py",
    ),
    _package("observability/notifications"),
    _package("operations", "tests/operations", excluded=("rotator/operations/mass_rotation/*",)),
    _package("operations/mass_rotation", "tests/operations/mass_rotation", "tests/cli/test_mass_rotation.py"),
    _package("providers", "tests/providers", *_files("reconciler", "management_key", "own_key")),
    _package(
        "vault",
        *_files(
            "vault",
            *(
                "budget_shares",
                "building",
                "calls",
                "capabilities",
                "connection",
                "decoding",
                "facts",
                "login_failures",
            ),
            *("mount_proofs", "rights", "secret_id_steps", "secret_ids", "session"),
        ),
    ),
)
"""What speaks with services and with people: a sample of its mutants is tried."""

AREAS = {area.name: area for area in (CORE, *PACKAGES)}

WRAPPERS = {"property", "cached_property"}


class _Undecorated(cst.CSTTransformer):
    """Writes ``@property`` as an assignment below the method."""

    def leave_FunctionDef(  # noqa: N802  # libcst's name
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        names = [node.decorator.value for node in updated_node.decorators if isinstance(node.decorator, cst.Name)]
        if len(names) != 1 or len(updated_node.decorators) != 1 or names[0] not in WRAPPERS:
            return updated_node
        name = updated_node.name.value
        return cst.FlattenSentinel(
            [updated_node.with_changes(decorators=[]), cst.parse_statement(f"{name} = {names[0]}({name})")]
        )


UNTOUCHED = ("    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:",)
"""Functions that are left alone. uvicorn calls an application without arguments first, to see
whether it is a factory; mutmut's wrapper takes any arguments, so it would be taken for one."""


def undecorated(source: str) -> str:
    """The source with its properties written as plain methods and assignments."""
    for line in UNTOUCHED:
        source = source.replace(line, f"{line}  # pragma: no mutate block")
    return cst.parse_module(source).visit(_Undecorated()).code


COPIED = (
    "rotator/**/*.py",
    "rotator/**/*.json",
    "rotator/py.typed",
    "tests/**/*",
    "tools/*",
    "config/**/*",
    "docs/**/*",
    "systemd/*",
    "README.md",
    "CHANGELOG.md",
)
"""What the tests of some area read."""


def prepare(area: Area) -> None:
    """Bring a tree up to date. What did not change keeps its time, by which mutmut knows that it need not look again."""
    tree = area.tree
    wanted = {
        path.relative_to(ROOT): path
        for pattern in COPIED
        for path in sorted(ROOT.glob(pattern))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for old in sorted(path for folder in ("rotator", "tests") for path in (tree / folder).rglob("*.py")):
        if old.relative_to(tree) not in wanted:
            old.unlink()
            (tree / "mutants" / old.relative_to(tree)).unlink(missing_ok=True)
    for name, path in wanted.items():
        content = path.read_bytes()
        target = tree / name
        content = undecorated(content.decode()).encode() if str(name) in area.modules else content
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            shutil.copymode(path, target)
    before, _, rest = (ROOT / "pyproject.toml").read_text().partition("[tool.mutmut]\n")
    following = rest.partition("\n[")
    (tree / "pyproject.toml").write_text(f"{before}{area.settings}{''.join(following[1:])}")
