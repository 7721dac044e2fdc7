"""Reports of incidents as whole files, for people and for machines: what is written must be what stands in `pages`.

`python -m tests.operations.incidents.test_pages` writes the files anew after a change that is meant; a browser shows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.domain.account import MassRotation, Waiver
from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.keys import Key
from rotator.operations.coverage import CoverageReport, StaleKey
from rotator.operations.incidents.html import MOST_LABELLED, STYLE, render_html
from rotator.operations.incidents.report import ApplicationImpact, IncidentReport, KeyRevocation

PAGES = Path(__file__).with_name("pages")
T = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

BILLING = ApplicationImpact(
    application="billing",
    account="acme",
    path="secret/apps/billing",
    bearer="b1",
    opened_at=T,
    closed_at=T + 40 * SECOND,
    reason="found in a public repository",
    by="ann@desk",
    mode="replace_first",
    revocations=(
        KeyRevocation("SCWOLD", T + 30 * SECOND, "refused", (2, 3), "destroyed at the second attempt"),
        KeyRevocation("SCWOLDER", T + 40 * SECOND, "gone by its name"),
    ),
    replacement="SCWNEW",
    version=4,
    replaced_at=T + 10 * SECOND,
    purpose="invoices",
)
MAILER = replace(
    BILLING,
    application="mailer",
    path="secret/apps/mailer",
    bearer="b2",
    opened_at=T - 20 * SECOND,
    closed_at=T + 5 * MINUTE,
    reason="the same repository",
    by="bob@desk",
    mode="revoke_first",
    revocations=(KeyRevocation("SCWMAIL", T + 5 * MINUTE, "refused", (7,)),),
    replacement="",
    version=0,
    replaced_at=None,
    purpose="",
)
ZETA = replace(
    MAILER,
    application="zeta",
    path="secret/apps/zeta",
    bearer="b3",
    opened_at=T + 20 * SECOND,
    closed_at=None,
    revocations=(KeyRevocation("SCWZ1", None), KeyRevocation("SCWZ2", T + MINUTE, "refused")),
)


def key(number: int, age: timedelta) -> Key:
    return Key(f"SCWKEY{number}", f"bearer-{number}", "made by hand", T - age)


WAIVER = Waiver("SCWKEY2", "of the printer", "ann@desk", T - DAY, T + DAY)
WHOLE = CoverageReport("acme", T - DAY, T + HOUR, 1, part="the 2 affected applications", outside=3)
OLD_KEYS = CoverageReport(
    "acme",
    T - DAY,
    T + HOUR,
    12,
    rows=(
        StaleKey(key(1, 30 * DAY), "unmanaged"),
        StaleKey(key(2, 20 * DAY), "current", "billing", waiver=WAIVER),
        StaleKey(key(3, 10 * DAY), "grace", "billing", T + 2 * HOUR, replace(WAIVER, until=None)),
        StaleKey(key(4, 5 * DAY), "revoking", "mailer"),
    ),
    expired=(key(5, 90 * DAY),),
    unread=("zeta",),
)
LACKING = replace(OLD_KEYS, account="globex", rows=(), missing=("SCWKEY8", "SCWKEY9"), expired=(), unread=())
UNLISTED = replace(WHOLE, account="initech", part="", unlisted="more than 10,000 keys")


def call(minutes: int, source: str, agent: str, method: str = "ListServers", status: int = 200) -> AuditEvent:
    return AuditEvent(T + minutes * MINUTE, source, agent, "instance", method, status)


CALLS = AuditTrail(
    (
        call(-120, "198.51.100.4", "terraform/1"),
        call(-90, "198.51.100.4", "terraform/1", "CreateServer", 400),
        call(-45, "203.0.113.9", "curl/8", "DeleteServer", 399),
        call(-30, "198.51.100.4", "terraform/1"),
        call(-15, "203.0.113.9", "curl/8", "ListKeys", 403),
    ),
    ("fr-par", "nl-ams"),
)
MASS = MassRotation("i1", "--all", T - DAY, compromised=True, reason="breach", by="eve@desk", begun_at=T - MINUTE)


def report(*affected: ApplicationImpact, **said: object) -> IncidentReport:
    return replace(IncidentReport("i1", T + HOUR, T - 3 * HOUR, affected), **said)  # type: ignore[arg-type]  # by field


REPORTS: Mapping[str, IncidentReport] = {
    "contained": report(BILLING, MAILER, coverage=(WHOLE,), trails={"billing": CALLS}),
    "open": report(
        BILLING,
        MAILER,
        ZETA,
        masses=(MASS, replace(MASS, reason="later", ended_at=T + MINUTE)),
        coverage=(OLD_KEYS, LACKING, UNLISTED),
        trails={
            "mailer": replace(CALLS, audit_events=CALLS.audit_events[:1], unavailable=("pl-waw: denied",)),
            "billing": replace(CALLS, truncated=True),
            "zeta": AuditTrail(unavailable=("no right",)),
        },
        unread={"omega": "damaged"},
    ),
    "unknown": report(
        BILLING,
        unavailable={"globex": "no answer", "acme2": "denied"},
        unread={"omega": "damaged"},
        coverage=(OLD_KEYS, WHOLE),
    ),
    "unlisted": report(BILLING, coverage=(UNLISTED, WHOLE)),
    "waiting": report(masses=(replace(MASS, ended_at=T + DAY),), trails={"billing": AuditTrail((), ("fr-par",))}),
}


def page(one: IncidentReport) -> str:
    """The file without its style sheet, an element on each line, so that a difference can be read."""
    return render_html(one).replace(STYLE, "").replace("><", ">\n<")


def for_machines(one: IncidentReport) -> str:
    return json.dumps(one.as_json(), indent=1) + "\n"


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_is_the_one_that_stands_in_the_folder(name: str) -> None:
    assert page(REPORTS[name]) == (PAGES / f"{name}.html").read_text()


@pytest.mark.parametrize("name", REPORTS)
def test_machines_get_what_stands_in_the_folder(name: str) -> None:
    assert for_machines(REPORTS[name]) == (PAGES / f"{name}.json").read_text()


def test_a_page_has_its_style_within() -> None:
    assert f"<style>{STYLE}</style>" in render_html(REPORTS["contained"])


@pytest.mark.parametrize(("waiting", "opened"), [(2, True), (3, False)])
def test_the_time_line_is_unfolded_up_to_thirty_events(waiting: int, opened: bool) -> None:
    marked = replace(ZETA, revocations=(KeyRevocation("SCWB", None),))
    text = render_html(report(*[MAILER] * 9, *[marked] * waiting))
    assert f"<summary>{28 + waiting} events" in text
    assert ("<details open>" in text, "<details>" in text) == (opened, not opened)


def test_the_drawing_of_many_applications_has_thin_lines_without_names() -> None:
    many = [replace(one, application=f"{one.application}-{n}") for n in range(31) for one in (BILLING, ZETA)]
    lines = page(report(*many[: MOST_LABELLED + 1])).split("\n")
    drawing = lines[next(n for n, line in enumerate(lines) if line.startswith("<svg")) : lines.index("</svg>")]
    assert drawing[:16] == [
        (
            "<svg viewBox='0 0 1000 270' role='img' aria-label='how long the compromised keys of each application were"
            " valid'>"
        ),
        "<line class='axis' x1='20.0' x2='20.0' y1='18' y2='270'/>",
        "<line class='axis' x1='500.0' x2='500.0' y1='18' y2='270'/>",
        "<line class='axis' x1='980.0' x2='980.0' y1='18' y2='270'/>",
        "<text x='20' y='12'>2026-05-04 12:00:00 UTC</text>",
        "<text x='980' y='12' text-anchor='end'>2026-05-04 13:00:00 UTC</text>",
        "<g>",
        "<title>billing-0: contained after 40 s</title>",
        "<line class='life' x1='20.0' x2='30.7' y1='28' y2='28' stroke-width='4'/>",
        "<circle class='made' cx='22.7' cy='28' r='1.5'/>",
        "</g>",
        "<g>",
        "<title>billing-1: contained after 40 s</title>",
        "<line class='life' x1='20.0' x2='30.7' y1='32' y2='32' stroke-width='4'/>",
        "<circle class='made' cx='22.7' cy='32' r='1.5'/>",
        "</g>",
    ]
    assert drawing[-4:] == [
        "<g>",
        "<title>zeta-29: not contained yet</title>",
        "<line class='life open' x1='25.3' x2='980.0' y1='268' y2='268' stroke-width='4'/>",
        "</g>",
    ]
    assert "<text x='4' y='38'>billing-0</text>" in page(report(*many[:MOST_LABELLED])), "so many have names"


if __name__ == "__main__":
    for name, one in REPORTS.items():
        (PAGES / f"{name}.html").write_text(page(one))
        (PAGES / f"{name}.json").write_text(for_machines(one))
