"""The audit of our locked dependencies: pip-audit asks, this judges.

pip-audit takes "the service does not know this package" for nothing found, and knows only exceptions that never end. So its answer
is read here: what could not be audited is said and is no success, and every exception has a reason and a last day
(``requirements/exceptions.toml``).

Exit codes: 0 everything was audited and nothing is open · 1 something is open, or an exception is over · 2 the exceptions cannot be
read, or pip-audit fails · 3 not everything could be audited (0 with ``--soft``, for where that must not stop other work).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = ROOT / "requirements" / "exceptions.toml"
FURTHEST = timedelta(days=180)
"""No exception reaches further ahead."""

_AWAY = re.compile(r"Could not connect|ConnectionError|Timeout|ServiceError|redirecting")
"""The last words of pip-audit, or of the exception that it dies of, when the service is away."""


@dataclass(frozen=True)
class Exempt:
    """One vulnerability that we live with until a day, and why."""

    id: str
    package: str
    until: date
    reason: str


@dataclass(frozen=True)
class Finding:
    """One vulnerability of one package, under all the names that it has."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no release mends it yet"
        return f"{self.package} {self.version}: {', '.join(self.ids)}; {remedy}"


@dataclass(frozen=True)
class Answer:
    """What the service said: which packages it judged, what it found, and what it could not judge, with its reason."""

    audited: frozenset[str]
    findings: tuple[Finding, ...]
    unaudited: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What comes of it: an exit code and the lines for a person."""

    code: int
    lines: tuple[str, ...]


def judge(answer: Answer, exceptions: Sequence[Exempt], today: date, *, soft: bool = False) -> Verdict:
    """The verdict, from what was found, what is excepted and the date."""
    lines, open_ = [], 0
    used = set()
    for finding in answer.findings:
        exempt = next((one for one in exceptions if one.package == finding.package and one.id in finding.ids), None)
        if exempt:
            used.add(exempt)
        if exempt and today <= exempt.until:
            lines.append(f"excepted until {exempt.until}: {finding} ({exempt.reason})")
        else:
            open_ += 1
            lines.append(f"OPEN: {finding}")
    for exempt in exceptions:
        if today > exempt.until:
            open_ += 1
            lines.append(
                f"OVER: the exception for {exempt.id} of {exempt.package} ended on {exempt.until}: mend it, or judge it anew"
            )
        elif exempt not in used and exempt.package in answer.audited:
            lines.append(f"not needed: {exempt.package} has no {exempt.id} any more; remove the exception")
    if answer.unaudited:
        total = len(answer.audited) + len(answer.unaudited)
        lines.append(
            f"NOT AUDITED: {len(answer.unaudited)} of {total} packages, nothing is known of them: {answer.unaudited[0]}"
        )
    lines.append(f"{len(answer.audited)} packages audited, {open_} open")
    return Verdict(1 if open_ else 3 if answer.unaudited and not soft else 0, tuple(lines))


def read_exceptions(text: str, today: date) -> list[Exempt]:
    """The exceptions in a file; ``ValueError`` with a sentence for a person when one is not complete."""
    found = []
    for entry in tomllib.loads(text).get("exception", []):
        if set(entry) != {"id", "package", "until", "reason"} or not all(entry.values()):
            raise ValueError(
                f"an exception has exactly id, package, until and reason; this one has {', '.join(sorted(entry))}"
            )
        if isinstance(entry["until"], datetime) or not isinstance(entry["until"], date):
            raise ValueError(f"until of {entry['id']} is no date; write it without quotes, such as 2027-01-31")  # noqa: TRY004 - a mistake in a file, told as all of them
        if entry["until"] > today + FURTHEST:
            raise ValueError(
                f"until of {entry['id']} is more than {FURTHEST.days} days ahead; an exception is for a while"
            )
        found.append(Exempt(entry["id"], entry["package"].lower(), entry["until"], entry["reason"]))
    return found


def read_answer(report: dict[str, Any]) -> Answer:
    """The answer in a report of pip-audit."""
    packages = report["dependencies"]
    findings = [
        Finding(
            package["name"].lower(), package["version"], (found["id"], *found["aliases"]), tuple(found["fix_versions"])
        )
        for package in packages
        for found in package.get("vulns", [])
    ]
    audited = frozenset(package["name"].lower() for package in packages if "skip_reason" not in package)
    return Answer(
        audited, tuple(findings), tuple(package["skip_reason"] for package in packages if "skip_reason" in package)
    )


def ask(lock: Path, options: Sequence[str]) -> Answer:
    """Have pip-audit ask about everything in one lock. A service that does not answer has judged nothing; ``ValueError`` when
    pip-audit itself fails, which no softness may hide."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--no-deps",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    command += [*options, "--requirement", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words, no shell
    if done.stdout.startswith("{"):
        return read_answer(json.loads(done.stdout))
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if not _AWAY.search(last):
        raise ValueError(f"pip-audit failed: {last[:200]}")
    packages = re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE)
    return Answer(frozenset(), (), tuple(f"the service gave no answer about {package}" for package in packages))


def main(arguments: Sequence[str]) -> int:
    """Audit the locks that are named; the exit code."""
    parser = argparse.ArgumentParser(prog="audit", description="Audit locked requirements for known vulnerabilities.")
    parser.add_argument("locks", nargs="+", type=Path, help="files of locked requirements")
    parser.add_argument("--soft", action="store_true", help="what could not be audited is said and is no failure")
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS, help="the file of exceptions")
    parser.add_argument("--service", default="pypi", choices=("pypi", "osv"), help="whom to ask")
    parser.add_argument("--osv-url", help="where osv is, if not where pip-audit knows it")
    chosen = parser.parse_args(arguments)
    today = datetime.now(UTC).date()
    try:
        exceptions = read_exceptions(chosen.exceptions.read_text(), today)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"audit: {chosen.exceptions.name}: {error}\n")
        return 2
    options = ["--vulnerability-service", chosen.service, *(["--osv-url", chosen.osv_url] if chosen.osv_url else [])]
    codes = []
    for lock in chosen.locks:
        try:
            verdict = judge(ask(lock, options), exceptions, today, soft=chosen.soft)
        except (OSError, ValueError) as error:
            verdict = Verdict(2, (str(error),))
        sys.stdout.write("".join(f"{lock}: {line}\n" for line in verdict.lines))
        codes.append(verdict.code)
    return min((code for code in codes if code), default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
