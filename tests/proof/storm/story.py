"""What happened, merged into one time line for a person: the storm's hand, the daemons, Vault and the provider."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tests.e2e.rig import Daemon, Rig
from tests.proof.storm.scribe import Scribe

QUIET = {"event", "level", "timestamp", "application", "account"}


class Told:
    """What the storm did itself, as it did it."""

    def __init__(self) -> None:
        self.lines: list[tuple[datetime, str, str]] = []

    def tell(self, what: str) -> None:
        """Something that the storm does now."""
        self.lines.append((datetime.now(UTC), "storm", what))


def story(rig: Rig, scribe: Scribe, told: Told, *, since: datetime | None = None, about: str = "") -> Iterator[str]:
    """The lines in the order in which they happened, perhaps only of late and about one application."""
    lines = [*told.lines, *((at, "vault", f"{name}: {what}") for at, name, what in scribe.lines if about in ("", name))]
    for daemon in rig.daemons:
        lines += [line for line in _daemon_lines(daemon, about) if line]
    for event in scribe.events:
        name = next((name for name, bearer in rig.bearers.items() if bearer == event.bearer), "")
        if event.kind == "faulted" or about in ("", name):
            who = f"{name} {event.access_key}" if name else event.access_key
            lines.append((event.at, "provider", f"{event.kind} {who} {event.method} {event.detail}".rstrip()))
    for at, who, what in sorted(lines):
        if since is None or at >= since:
            yield f"{at:%H:%M:%S.%f} {who:9} {what}"


def _daemon_lines(daemon: Daemon, about: str) -> Iterator[tuple[datetime, str, str]]:
    for line in daemon.events():
        if about and line.get("application", about) != about:
            continue
        fields = " ".join(f"{name}={value}" for name, value in line.items() if name not in QUIET)
        what = f"{line.get('application', '')} {line.get('event')} {fields}".strip()
        yield datetime.fromisoformat(str(line["timestamp"])), daemon.name, what
