"""A journal for people: every confirmed step of a rotation as a line on standard error while the
command runs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from rotator.cli.output.sentences import beside, beside_utc, columns
from rotator.util.formatting import format_time
from rotator.util.terminal import styled, visible_line

_SENTENCES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "rotation.claimed": ("", lambda f: f"claimed in the ledger, because: {f['reason']}"),
    "rotation.taken_over": (
        "yellow",
        lambda f: f"took over rotation {f['rotation_id']}, which another process did not finish",
    ),
    "rotation.created": ("", lambda f: f"created {f['access_key']}; proving that it works"),
    "rotation.create_failed": ("red", lambda f: f"the new key was not made: {f['message']}"),
    "rotation.verified": ("", lambda f: f"proven: {f['access_key']} authenticated {f['successes']} times in a row"),
    "rotation.verification_failed": (
        "red",
        lambda f: f"{f['access_key']} did not become valid in time; it is dropped, the old key stays",
    ),
    "rotation.published": ("green", lambda f: f"published {f['access_key']} in version {f['version']}, and read back"),
    "rotation.committed": ("green", lambda f: f"committed: {f['access_key']} is the current key"),
    "rotation.abandoned": ("yellow", lambda f: f"gave up rotation {f['rotation_id']}: {f['message']}"),
    "key.grace_started": ("", lambda f: f"{f['access_key']} is in grace until {_time(f['revoke_after'])}"),
    "key.revocation_scheduled": ("", lambda f: f"revoking {f['access_key']} ({f['reason']})"),
    "key.republished": (
        "yellow",
        lambda f: f"{f['access_key']} was scheduled for revocation and is published again; it is replaced at once",
    ),
    "key.deleted": ("", lambda f: f"deleted {f['access_key']}; verifying the revocation"),
    "key.delete_unconfirmed": (
        "yellow",
        lambda f: f"the answer to the delete of {f['access_key']} was lost; the next probe shows what became of it",
    ),
    "key.revoked": ("green", lambda f: f"{f['access_key']} is revoked ({f['verification']})"),
    "key.revocation_unverified": ("red", lambda f: f"{f['access_key']} is deleted and still answers; probing goes on"),
    "key.published_key_invalid": (
        "red",
        lambda f: f"the published key {f['access_key']} is invalid: consumers are down; it is replaced at once",
    ),
    "key.orphan_found": ("yellow", lambda f: f"{f['access_key']} was never published; it is revoked"),
    "key.unmanaged_found": ("yellow", lambda f: f"{f['access_key']} is an unmanaged key; it is not touched"),
    "document.changed_externally": (
        "yellow",
        lambda f: f"another writer published {f['access_key']}; the ledger followed",
    ),
    "document.fenced": (
        "",
        lambda _: "rewrote the unchanged document, so that unpublished keys are certainly orphaned",
    ),
    "application.adopted": ("green", lambda f: f"took over {f['access_key']}, which consumers already use"),
    "application.blocked": ("red", lambda f: f"blocked: {f['message']}"),
    "compromise.marked": (
        "red",
        lambda f: f"marked compromised: {', '.join(f['access_keys'])}; the mark is durable, every actor now acts on it",
    ),
    "versions.destroyed": ("", lambda f: _destroyed(f["access_key"], f["versions"])),
    "versions.destroy_failed": (
        "yellow",
        lambda f: f"the stored secret of {f['access_key']} stays in Vault: {f['message']}",
    ),
    "grace.ended": ("yellow", lambda f: f"the grace of {f['access_key']} ends now"),
    "compromise.contained": ("green", lambda _: "contained: every key of the incident is verified as revoked"),
    "notification.failed": ("yellow", lambda f: f"{f['target']} was not notified: {f['message']}"),
    "pass.interrupted": ("yellow", lambda f: f"looking again: {f['message']}"),
    "pass.failed": ("yellow", lambda f: f"waiting: {f['message']}"),
}


def _destroyed(access_key: object, versions: Any) -> str:
    if not versions:
        return f"no older version in Vault holds the secret of {access_key}"
    return f"destroyed in Vault what held the secret of {access_key}: version {', '.join(map(str, versions))}"


def _time(value: object) -> str:
    return format_time(value) if isinstance(value, datetime) else str(value)


class Progress:
    """Prints steps as they are confirmed, with the seconds since the start; nothing when it begins
    ``muted``.

    The same line is not printed twice in a row. ``marked`` are the applications, and the keys,
    whose mark is durable, and ``incidents`` those that these marks name.
    """

    def __init__(self, elapsed: Callable[[], float], *, muted: bool = False) -> None:
        self.marked: set[str] = set()
        self.incidents: set[str] = set()
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}
        self._muted = muted

    def emit(self, event: str, **fields: object) -> None:
        """Print one line, if the event is one that people wait for."""
        if event not in _SENTENCES:
            return
        colour, sentence = _SENTENCES[event]
        name = str(fields.get("application", ""))
        if event == "compromise.marked":
            keys = fields.get("access_keys")
            self.incidents.add(str(fields.get("incident", "")))
            self.marked |= {name, *(keys if isinstance(keys, list | tuple) else ())}
        try:
            line = sentence(fields)
        except KeyError:
            line = event
        with self._lock:
            if self._muted or self._last.get(name) == line:
                return
            self._last[name] = line
            clock, name = f"{self._elapsed():7.2f} s", visible_line(name)
            width = columns() if sys.stderr.isatty() else sys.maxsize
            shown = beside(f"{clock}  {name}", visible_line(beside_utc(line)), width)
            shown = (
                f"{click.style(clock, dim=True)}  {click.style(name, bold=True)}{click.style(shown, fg=colour or None)}"
            )
            click.echo(shown, file=styled(sys.stderr), color=False if os.environ.get("NO_COLOR") else None)

    def mute(self) -> None:
        """Print nothing any more: the command is about to end."""
        with self._lock:
            self._muted = True
