"""The report of an incident: what it tells, what it says that it cannot tell, and that nothing of it runs in a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.account import MassRotation
from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.keys import Key
from rotator.domain.ledger import HistoryEntry, Incident, Ledger, RevocationRecord
from rotator.operations.coverage import CoverageReport, StaleKey
from rotator.operations.incidents.audit_calls import groups
from rotator.operations.incidents.collection import all_incidents, impact_of
from rotator.operations.incidents.html import MOST_LABELLED, render_html
from rotator.operations.incidents.report import LIMITS, TRAIL_MISSING, ApplicationImpact, IncidentReport
from tests.support.simulated import spec

T = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NASTY = "<script>alert('&\"')</script>"


def ledger(**changes: Any) -> Ledger:
    """An application whose compromised key was replaced after two seconds and verified as revoked after three."""
    incident = Incident(
        "i1",
        T,
        "found in a public repository",
        "alice@desk",
        ("SCWOLD",),
        T + 3 * SECOND,
        revocations=(RevocationRecord("SCWOLD", T + 3 * SECOND, "refused", (3,)),),
    )
    history = (
        HistoryEntry(T - 9 * SECOND, "rotated", "SCWOLD", 3, "r1", "every 30d"),
        HistoryEntry(T + 2 * SECOND, "rotated", "SCWNEW", 4, "r2", "found in a public repository"),
        HistoryEntry(T + 3 * SECOND, "revoked", "SCWOLD", 3, "", "compromised; refused"),
    )
    return replace(new_ledger(spec()), incidents=(incident,), history=history, **changes)


def report(*found: ApplicationImpact, **said: Any) -> IncidentReport:
    one = impact_of(ledger().incidents[0], ledger())
    return IncidentReport("i1", T + timedelta(hours=1), T - timedelta(hours=1), found or (one,), **said)


def audit_event(
    seconds: int, source: str = "198.51.100.4", agent: str = "curl/8", method: str = "DeleteServer", status: int = 200
) -> AuditEvent:
    return AuditEvent(T + seconds * SECOND, source, agent, "instance", method, status)


# --- what it tells --------------------------------------------------------------------------------------------------------


def test_it_tells_who_asked_why_what_was_replaced_and_which_versions_were_destroyed() -> None:
    told = report().as_json()
    assert (told["reason"], told["by"]) == ("found in a public repository", "alice@desk")
    (application,) = told["applications"]
    assert (application["replacement"], application["version"]) == ("SCWNEW", 4)
    assert application["keys"] == [
        {
            "access_key": "SCWOLD",
            "dead_at": "2026-05-04T12:00:03Z",
            "verification": "refused",
            "destroyed_versions": [3],
            "remark": None,
        }
    ]
    assert (told["opened_at"], told["closed_at"]) == ("2026-05-04T12:00:00Z", "2026-05-04T12:00:03Z")


def test_the_time_line_goes_from_the_report_to_the_proof_of_death() -> None:
    told = [(moment.what, moment.access_key) for moment in report().moments()]
    assert told == [
        ("reported", ""),
        ("marked", "SCWOLD"),
        ("replaced", "SCWNEW"),
        ("revoked", "SCWOLD"),
        ("contained", ""),
    ]


def test_a_key_that_was_in_grace_needed_no_replacement() -> None:
    history = (HistoryEntry(T + 90 * SECOND, "rotated", "SCWLATER", 5, "r3", "every 30d"),)
    assert impact_of(ledger().incidents[0], replace(ledger(), history=history)).replacement == ""


def test_a_ledger_of_an_older_rotator_tells_of_the_death_in_its_history() -> None:
    old = replace(ledger().incidents[0], revocations=())
    (revocation,) = impact_of(old, ledger()).revocations
    assert (revocation.at, revocation.verification, revocation.destroyed) == (T + 3 * SECOND, "refused", ())


def test_an_incident_is_contained_only_when_every_application_is_and_none_waits_for_its_turn() -> None:
    one = impact_of(ledger().incidents[0], ledger())
    assert report().closed_at == T + 3 * SECOND
    assert report(one, replace(one, application="mailer", closed_at=None)).closed_at is None
    mass = MassRotation("i1", "--all", T, compromised=True, reason="breach", by="bob", begun_at=T - SECOND)
    ended = replace(mass, ended_at=T + 9 * SECOND)
    assert report(masses=(mass,)).closed_at is None
    assert report(masses=(ended,)).closed_at is not None
    assert report(masses=(ended, mass)).closed_at is None, "another account is not done"
    assert report(masses=(ended,), unavailable={"zeta": "no answer"}).closed_at is None, (
        "nobody knows of another account"
    )
    said = report(masses=(mass,))
    assert (said.reason, said.by, said.opened_at) == ("breach", "bob", T - SECOND)


def test_incidents_are_grouped_by_their_id_over_applications_and_an_ordinary_mass_rotation_is_none() -> None:
    other = replace(ledger(), application="mailer")
    alone = mark_compromised(
        new_ledger(spec(application="alone")),
        {"SCWX"},
        reason="leak",
        by="ops",
        at=T,
        incident="i2",
        mode="replace_first",
    )
    breach = MassRotation("i3", "--all", T, compromised=True, reason="breach", by="bob", begun_at=T)
    calm = replace(breach, id="i4", compromised=False)
    found = all_incidents({"billing": ledger(), "mailer": other, "alone": alone}, [breach, calm])
    assert {name: [one.application for one in ones] for name, ones in found.items()} == {
        "i1": ["billing", "mailer"],
        "i2": ["alone"],
        "i3": [],
    }


def test_calls_are_grouped_by_address_and_client_and_who_appeared_last_stands_first() -> None:
    trail = AuditTrail(
        (
            audit_event(-60),
            audit_event(-50),
            audit_event(-40, "203.0.113.9", "evil/1", "ListKeys", 403),
            audit_event(-30),
        )
    )
    first, second = groups(trail)
    assert (first.source, first.agent, first.refused) == ("203.0.113.9", "evil/1", 1)
    assert (second.source, len(second.audit_events), second.refused, second.methods()) == (
        "198.51.100.4",
        3,
        0,
        ["DeleteServer x 3"],
    )


def test_it_says_what_it_cannot_tell() -> None:
    assert report().limits == (*LIMITS, TRAIL_MISSING)
    unavailable = report(trails={"billing": AuditTrail(unavailable=("nl-ams: not allowed",), truncated=True)}).limits
    assert "The audit trail of nl-ams: not allowed" in unavailable
    assert "The audit trail of billing has more calls than were read." in unavailable
    assert any("names no access key" in limit for limit in LIMITS)
    assert any("Object Storage" in limit for limit in LIMITS)


# --- the file -------------------------------------------------------------------------------------------------------------


class Seen(HTMLParser):
    """What a browser would see: the elements with their attributes, balanced or not, and the text."""

    VOID = frozenset({"meta", "br", "circle", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def full() -> IncidentReport:
    """A report in which everybody who can write something wrote something nasty."""
    one = impact_of(ledger().incidents[0], ledger())
    nasty = replace(
        one,
        application=NASTY,
        path=NASTY,
        reason=NASTY,
        by=NASTY,
        revocations=tuple(replace(revocation, verification=NASTY, remark=NASTY) for revocation in one.revocations),
    )
    stranger = Key("SCWSTRANGER", NASTY, NASTY, T - SECOND)
    verification = CoverageReport(NASTY, T, T + SECOND, 7, (StaleKey(stranger, "unmanaged", NASTY),))
    trail = AuditTrail(
        (audit_event(-60, NASTY, NASTY, NASTY), audit_event(-50, NASTY, NASTY, NASTY, 403)),
        ("fr-par",),
        (NASTY,),
        truncated=True,
    )
    return report(
        nasty, replace(nasty, closed_at=None, replaced_at=None), coverage=(verification,), trails={NASTY: trail}
    )


def test_whatever_others_wrote_is_shown_and_never_becomes_part_of_the_page() -> None:
    seen = Seen(render_html(full()))
    assert not seen.open
    assert {tag for tag, _ in seen.tags} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "h1",
            "h2",
            "h3",
            "p",
            "span",
            "br",
            "div",
            "b",
            "code",
            "ul",
            "li",
        ),
        *("table", "thead", "tbody", "tr", "th", "td", "svg", "g", "line", "circle", "text", "details", "summary"),
    }
    assert NASTY in seen.text


def test_the_file_loads_nothing_and_runs_nothing() -> None:
    text = render_html(full())
    assert not re.search(r"\b(src|href|on\w+)\s*=", text)
    assert "url(" not in text
    assert "@import" not in text
    specs = [attrs["content"] for tag, attrs in Seen(text).tags if tag == "meta" and "http-equiv" in attrs]
    assert specs == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_the_file_draws_how_long_each_key_lived_and_where_calls_came_from() -> None:
    text = render_html(report(trails={"billing": AuditTrail((audit_event(-60), audit_event(-50)), ("fr-par",))}))
    assert text.count("<svg") == 2
    assert text.count("class='event'") == 2
    assert text.count("class='made'") == 1
    assert "contained after 3.00 s" in text


@pytest.mark.parametrize("number", [MOST_LABELLED, MOST_LABELLED + 1, 1000])
def test_a_breach_of_many_applications_fits_on_the_page(number: int) -> None:
    one = impact_of(ledger().incidents[0], ledger())
    text = render_html(report(*(replace(one, application=f"app-{n}") for n in range(number))))
    assert text.count("<g>") == number
    height = int(re.search(r"viewBox='0 0 1000 (\d+)'", text)[1])  # type: ignore[index]  # the drawing is there
    assert height < 4200


def test_a_report_without_anything_to_tell_is_a_page_as_well() -> None:
    mass = MassRotation("i3", "--all", T, compromised=True, reason="breach", by="bob", begun_at=T)
    bare = IncidentReport("i3", T, T, (), (mass,))
    assert "No application is marked yet." in render_html(bare)
    assert json.dumps(bare.as_json())
