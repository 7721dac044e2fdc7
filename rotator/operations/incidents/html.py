"""Renders an incident report as one HTML file. It loads and runs nothing, and all foreign text
(reasons, user agents, paths) is escaped, also letters that a terminal or a browser obeys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from statistics import median

from rotator.operations.coverage import KINDS, CoverageReport
from rotator.operations.incidents.audit_calls import Group, count_calls, groups
from rotator.operations.incidents.report import ApplicationImpact, IncidentReport
from rotator.util.formatting import format_seconds, format_span, format_time, pluralize
from rotator.util.terminal import visible

STYLE = """
:root {
  --ink: #1b1f24; --faint: #667; --line: #d5d9e0; --bad: #b3261e; --good: #1a7f4b;
  --mark: #c77700; --paper: #fff; --soft: #f4f6f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaed; --faint: #9aa3ad; --line: #363c44; --bad: #ff8a80; --good: #6fd49b;
    --mark: #ffb74d; --paper: #15181c; --soft: #1e2329;
  }
}
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
}
h1 { font-size: 1.6rem; margin: 0 0 .3rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line) }
.faint { color: var(--faint) }
.bad { color: var(--bad) }
.good { color: var(--good) }
code { font-size: .92em }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0 }
.figures div { background: var(--soft); border-radius: 6px; padding: .5rem .9rem }
.figures b { display: block; font-size: 1.3rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td {
  text-align: left; vertical-align: top; padding: .25rem .7rem .25rem 0;
  border-bottom: 1px solid var(--line);
}
th { color: var(--faint); font-weight: 500 }
svg { width: 100%; height: auto; background: var(--soft); border-radius: 6px }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif }
svg .axis { stroke: var(--line) }
svg .life { stroke: var(--bad); stroke-width: 5 }
svg .open { stroke-dasharray: 4 3 }
svg .made { fill: var(--good) }
svg .revoked { fill: var(--bad) }
svg .event { fill: var(--mark); fill-opacity: .75 }
svg .rejected { fill: none; stroke: var(--mark) }
@media print { body { max-width: none } details > * { display: block } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

WIDTH, LABEL, ROW = 1000, 190, 17
MOST_LABELLED = 60
"""Maximum of rows with a name; above it, rows are thin lines and the names are in the table."""


def render_html(report: IncidentReport) -> str:
    """The whole file."""
    state = {"contained": "contained", "open": "not contained yet"}.get(
        report.state, f"not known to be contained: {report.missing} could not be read"
    )
    when = (
        f"reported by {_(report.by)} at {format_time(report.opened_at)}; suspected since {format_time(report.since)}; "
        f"as of {format_time(report.as_of)}"
    )
    parts = [
        f"<h1>Incident {_(report.id)} <span class='{'good' if report.closed_at else 'bad'}'>{_(state)}</span></h1>",
        f"<p>{_(report.reason)}<br><span class='faint'>{when}</span></p>",
        _figures(report),
        "<h2>From the mark to the verified revocation</h2>",
        _validity(report),
        _applications(report.affected),
        "<h2>Coverage: keys from before that time that are valid</h2>",
        *map(_coverage, report.coverage),
        "<h2>What the bearers did since then</h2>",
        _trails(report),
        "<h2>Time line</h2>",
        _moments(report),
        "<h2>Limits of this report</h2>",
        f"<ul>{''.join(f'<li>{_(limit)}</li>' for limit in report.limits)}</ul>",
    ]
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        "<meta name='viewport' content='width=device-width'>"
        f"<title>Incident {_(report.id)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _(text: object) -> str:
    return escape(visible(str(text)), quote=True)


def _figures(report: IncidentReport) -> str:
    durations = [one.lived_on.total_seconds() for one in report.affected if one.lived_on is not None]
    revoked = sum(revocation.at is not None for one in report.affected for revocation in one.revocations)
    keys = sum(len(one.revocations) for one in report.affected)
    figures = [
        (pluralize(len(report.affected), "application"), "affected"),
        (f"{revoked} of {keys}", "compromised keys verified as revoked"),
    ]
    if durations:
        figures.append((format_seconds(median(durations)), "from mark to revocation (median)"))
        figures.append((format_seconds(max(durations)), "the longest"))
    if report.coverage:
        valid = sum(len(proof.open) for proof in report.coverage)
        whole = not any(proof.gap for proof in report.coverage)
        complete = all(proof.complete for proof in report.coverage)
        number = f"{valid} valid" if whole else f"at least {valid} valid" if valid else "not complete"
        figures.append(("complete" if complete else number, "coverage"))
    return (
        "<div class='figures'>"
        + "".join(f"<div><b>{_(value)}</b>{_(what)}</div>" for value, what in figures)
        + "</div>"
    )


# --- drawn ----------------------------------------------------------------------------------------


class _Axis:
    """Maps times to positions in a drawing."""

    def __init__(self, moments: Sequence[datetime], label: int) -> None:
        self.first, self.last, self.left = min(moments), max(moments), label
        self._length = max((self.last - self.first).total_seconds(), 0.001)

    def x(self, at: datetime) -> float:
        share = (at - self.first).total_seconds() / self._length
        return round(self.left + min(max(share, 0.0), 1.0) * (WIDTH - self.left - 20), 1)

    def drawn(self, height: int) -> str:
        """Both ends as text, and three lines."""
        quarters = [self.left + part * (WIDTH - self.left - 20) / 2 for part in (0, 1, 2)]
        lines = "".join(f"<line class='axis' x1='{x:.1f}' x2='{x:.1f}' y1='18' y2='{height}'/>" for x in quarters)
        ends = f"<text x='{self.left}' y='12'>{format_time(self.first)}</text>"
        return f"{lines}{ends}<text x='{WIDTH - 20}' y='12' text-anchor='end'>{format_time(self.last)}</text>"


def _svg(height: int, inside: Iterable[str], what: str) -> str:
    return f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='{_(what)}'>{''.join(inside)}</svg>"


def _validity(report: IncidentReport) -> str:
    """A line for each application from the mark to the revocation of its compromised keys, with the
    time of the replacement."""
    if not report.affected:
        return "<p class='faint'>No application is marked yet.</p>"
    labelled = len(report.affected) <= MOST_LABELLED
    row = ROW if labelled else 4
    ends = [one.closed_at or report.as_of for one in report.affected]
    axis = _Axis([report.opened_at, *[one.opened_at for one in report.affected], *ends], LABEL if labelled else 20)
    height = 26 + row * len(report.affected)
    drawn = [axis.drawn(height)]
    for number, one in enumerate(sorted(report.affected, key=lambda one: one.opened_at)):
        y = 26 + row * number + row // 2
        name = f"<text x='4' y='{y + 4}'>{_(one.application)}</text>" if labelled else ""
        shape = "life" if one.closed_at else "life open"
        end = one.closed_at or report.as_of
        line = (
            f"<line class='{shape}' x1='{axis.x(one.opened_at)}' x2='{axis.x(end)}' y1='{y}' y2='{y}' "
            f"stroke-width='{min(5, row)}'/>"
        )
        size = 4 if labelled else 1.5
        made = f"<circle class='made' cx='{axis.x(one.replaced_at)}' cy='{y}' r='{size}'/>" if one.replaced_at else ""
        drawn.append(f"<g><title>{_(one.application)}: {_(_duration(one))}</title>{name}{line}{made}</g>")
    legend = "<p class='faint'>red: a compromised key is valid; green: consumers have another one</p>"
    return _svg(height, drawn, "how long the compromised keys of each application were valid") + legend


def _duration(one: ApplicationImpact) -> str:
    return (
        f"contained after {format_seconds(one.lived_on.total_seconds())}"
        if one.lived_on is not None
        else "not contained yet"
    )


def _calls(report: IncidentReport, found: Sequence[Group]) -> str:
    """A row for each address and client with a dot for each call; refused calls are hollow."""
    axis = _Axis(
        [report.since, report.as_of, *[audit_event.at for group in found for audit_event in group.audit_events]], LABEL
    )
    height = 26 + ROW * len(found)
    drawn = [axis.drawn(height)]
    for number, group in enumerate(found):
        y = 26 + ROW * number + ROW // 2
        drawn.append(f"<text x='4' y='{y + 4}'>{_(group.source)}</text>")
        for audit_event in group.audit_events:
            shape = "event rejected" if audit_event.status >= 400 else "event"
            drawn.append(
                f"<circle class='{shape}' cx='{axis.x(audit_event.at)}' cy='{y}' "
                f"r='3.5'><title>{format_time(audit_event.at)} {_(audit_event.service)} {_(audit_event.method)} "
                f"{audit_event.status}</title></circle>"
            )
    return _svg(height, drawn, "when calls came from which address")


# --- listed ---------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are escaped already."""
    head = "".join(f"<th>{_(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _applications(found: Sequence[ApplicationImpact]) -> str:
    rows = []
    for one in found:
        keys = "<br>".join(
            f"<code>{_(revocation.access_key)}</code> "
            + (
                f"revoked {format_time(revocation.at)} ({_(revocation.verification)})"
                if revocation.at
                else "<b class='bad'>not verified as revoked</b>"
            )
            + _destroyed(revocation.destroyed)
            + (f"; <span class='faint'>{_(revocation.remark)}</span>" if revocation.remark else "")
            for revocation in one.revocations
        )
        new = (
            f"<code>{_(one.replacement)}</code> in version {one.version}"
            if one.replacement
            else "<span class='faint'>none needed</span>"
        )
        purpose = f"<br>{_(one.purpose)}" if one.purpose else ""
        name = f"<b>{_(one.application)}</b>{purpose}<br><span class='faint'>{_(one.path)}</span>"
        rows.append([name, keys, new, _(_duration(one))])
    return _table(("application", "compromised", "replaced by", "outcome"), rows)


def _destroyed(versions: Sequence[int]) -> str:
    if not versions:
        return ""
    return f"; version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))} destroyed"


def _coverage(verification: CoverageReport) -> str:
    why = verification.gap or f"{len(verification.open)} valid"
    verdict = "<b class='good'>complete</b>" if verification.complete else f"<b class='bad'>not complete: {_(why)}</b>"
    summary = (
        f"<p>{verdict}: {_(verification.account)}{_(f', {verification.part}' if verification.part else '')}, "
        f"{pluralize(verification.listed, 'key')} listed at {format_time(verification.as_of)}, older than "
        f"{format_time(verification.created_before)}</p>"
    )
    rows = [
        (
            f"<code>{_(row.key.access_key)}</code>",
            format_time(row.key.created_at),
            _(row.application or row.key.bearer),
            _(KINDS[row.kind]) + (f"; waived by {_(row.waiver.by)}: {_(row.waiver.reason)}" if row.waiver else ""),
        )
        for row in verification.rows
    ]
    return summary + (_table(("key", "created", "application", "kind"), rows) if rows else "")


def _trails(report: IncidentReport) -> str:
    parts = []
    for name, trail in sorted(report.trails.items()):
        found = groups(trail)
        parts.append(f"<h3>{_(name)}</h3><p class='faint'>{_(count_calls(trail))}</p>")
        if found:
            parts += [
                _calls(report, found),
                _table(("address", "client", "calls", "first and last", "what"), map(_group, found)),
            ]
    return "".join(parts) or "<p class='faint'>The audit trail was not read.</p>"


def _group(group: Group) -> Sequence[str]:
    refused = f" <span class='bad'>({group.refused} refused)</span>" if group.refused else ""
    return (
        f"<code>{_(group.source)}</code>",
        _(group.agent),
        f"{len(group.audit_events)}{refused}",
        f"{format_time(group.audit_events[0].at)}<br>{format_time(group.audit_events[-1].at)}",
        "<br>".join(map(_, group.methods())),
    )


def _moments(report: IncidentReport) -> str:
    start = report.opened_at
    rows = [
        (
            f"<span title='{format_time(one.at)}'>+{_(format_span(one.at - start))}</span>",
            _(one.what),
            _(one.application),
            f"<code>{_(one.access_key)}</code>" if one.access_key else "",
            _(one.text),
        )
        for one in report.moments()
    ]
    opened = " open" if len(rows) <= 30 else ""
    table = _table(("after", "what", "application", "key", ""), rows)
    return f"<details{opened}><summary>{pluralize(len(rows), 'event')}</summary>{table}</details>"
