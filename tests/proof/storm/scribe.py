"""The ground truth as it grows: every version of every document and ledger, and what the provider's own log says.

It is collected while the storm goes on, so that a violation stops the storm when it is fresh, and Vault need not keep everything.
What is read is a version by its number, which never changes once it is there; so a node that is behind only tells it later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.errors import Unavailable
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.scaleway.entities import RecordedEvent
from tests.e2e.rig import Daemon, Rig, parsed
from tests.e2e.truth import Death, Published, Truth

KEPT = 400
"""Versions that Vault keeps of everything; the scribe must not fall behind by more."""


@dataclass
class Scribe:
    """Writes down what truly happened to the applications of a rig."""

    rig: Rig
    grace: timedelta
    nodes: Callable[[], Sequence[OpenBao]]
    """The nodes of Vault that may be asked now."""
    published: dict[str, list[Published]] = field(default_factory=dict)
    marked: dict[str, dict[str, datetime]] = field(default_factory=dict)
    reasons: dict[str, set[str]] = field(default_factory=dict)
    """Why keys were marked, as the ledgers say, by application."""
    events: list[RecordedEvent] = field(default_factory=list)
    """What the provider did, without the requests that changed nothing."""
    lines: list[tuple[datetime, str, str]] = field(default_factory=list)
    """What Vault was given, as a story: when, for which application, what."""
    leaks: list[str] = field(default_factory=list)
    moment: datetime = datetime(1, 1, 1, tzinfo=UTC)
    """Up to when everything is known."""
    _judged: int = 0
    _heard: dict[str, int] = field(default_factory=dict)
    _index: dict[str, str] = field(default_factory=dict)
    _ledgers: dict[str, int] = field(default_factory=dict)
    _seen: int = 0
    _changes: int = 0

    def collect(self) -> None:
        """Write down what is new, if Vault has somebody to tell it; else nothing is judged that is newer than the last time.

        A deletion can only be judged by whoever knows all versions that were there before it. So what the provider did is taken
        first, then something is written to Vault, and what is read then must be at least as new as that write.
        """
        self._follow_provider()
        moment, events = datetime.now(UTC), len(self.events)
        for node in self.nodes():
            try:
                self._be_fresh(node)
                for name in self.rig.bearers:
                    self._follow_document(node, name)
                    self._follow_ledger(node, name)
            except Unavailable:
                continue
            self.moment, self._judged = moment, events
            return

    def truth(self, name: str) -> Truth:
        """What is known of one application, up to ``moment``."""
        bearer = self.rig.bearers[name]
        deaths = [
            Death(event.access_key, event.at)
            for event in self.events[: self._judged]
            if event.kind == "deleted" and event.bearer == bearer and event.by
        ]
        return Truth(self.grace, self.published[name], deaths, self.marked[name], self.rig.keys_of_ours(name))

    def hear(self, daemon: Daemon) -> list[dict[str, Any]]:
        """What a daemon has said since it was heard last."""
        if not daemon.log.exists():
            return []
        with daemon.log.open("rb") as log:
            log.seek(self._heard.get(daemon.name, 0))
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._heard[daemon.name] = self._heard.get(daemon.name, 0) + len(whole)
        return parsed(whole)

    def lie(self, line: dict[str, Any]) -> str:
        """I8: what is not true in a line of a daemon's log; empty when it is."""
        name, key = str(line.get("application", "")), str(line.get("access_key", ""))
        match line["event"]:
            case "rotation.published":
                truly = {one.version: one.access_key for one in self.published[name]}.get(line["version"], key)
                return (
                    f"I8: {key} was called published, and version {line['version']} holds {truly}"
                    if truly != key
                    else ""
                )
            case "key.revoked":
                truth = next(
                    one for one in self.rig.scaleway.keys(self.rig.bearers[name], deleted=True) if one.access_key == key
                )
                if truth.deleted_at is None:
                    return f"I3, I8: {key} was called dead, and it lives"
                # "Gone" is what its name tells; "refused" was seen of its secret, by every gateway.
                delay = truth.revocation_delay if line["verification"] == "refused" else 0
                too_early = datetime.fromisoformat(line["timestamp"]) < truth.deleted_at + timedelta(seconds=delay)
                return f"I3, I8: {key} was called dead ({line['verification']}) before it was" if too_early else ""
            case "key.published_key_invalid" | "pass.crashed" | "daemon.crashed":
                return f"I1: a daemon said {line}"
        return ""

    def changes(self) -> int:
        """How many keys were made or deleted so far by somebody who asked over the API."""
        self._follow_provider()
        return self._changes

    def _follow_provider(self) -> None:
        for event in self.rig.scaleway.events(self._seen):
            self._seen = event.index + 1
            if event.kind not in ("authenticated", "refused", "limited"):
                self.events.append(event)
                self._changes += event.kind in ("created", "deleted") and bool(event.by)

    def _follow_document(self, node: OpenBao, name: str) -> None:
        known = self.published.setdefault(name, [])
        for version, written, data in self._new(node, f"apps/{name}", len(known)):
            key = str(data.get("access_key", ""))
            known.append(Published(version, written, key))
            self.lines.append((written, name, f"Vault has version {version} of the document: {key}"))

    def _follow_ledger(self, node: OpenBao, name: str) -> None:
        marked, reasons = self.marked.setdefault(name, {}), self.reasons.setdefault(name, set())
        secrets = self.rig.all_secrets()
        for version, written, data in self._new(node, f"rotator/applications/{name}", self._ledgers.get(name, 0)):
            self._ledgers[name] = version
            text = json.dumps(data)
            if any(secret in text for secret in secrets):
                self.leaks.append(f"I6: a secret stands in version {version} of the ledger of {name}")
            for mark in data["compromised"]:
                reasons.add(mark["reason"])
                if mark["access_key"] not in marked:
                    marked[mark["access_key"]] = written
                    self.lines.append((written, name, f"Vault has the mark of {mark['access_key']}: {mark['reason']}"))

    def _new(self, node: OpenBao, path: str, known: int) -> Iterator[tuple[int, datetime, dict[str, Any]]]:
        answer = self._ask(node, f"secret/metadata/{path}")
        newest = int(answer["current_version"]) if answer else 0
        for version in range(known + 1, newest + 1):
            one = self._ask(node, f"secret/data/{path}?version={version}")
            if one is None:
                assert newest - version < KEPT, f"the scribe fell behind: version {version} of {path} is pruned"
                return
            yield version, datetime.fromisoformat(one["metadata"]["created_time"]), dict(one["data"])

    def _be_fresh(self, node: OpenBao) -> None:
        answer = node.call("POST", "secret/data/scribe", {"data": {}}, token=node.root_token)
        index = answer.headers.get("X-Vault-Index", "")
        if answer.status != 200 or not index:
            raise Unavailable("not now", service="vault", kind="away")
        self._index = {"X_Vault_Index": index, "X_Vault_Inconsistent": "forward-active-node"}

    def _ask(self, node: OpenBao, path: str) -> dict[str, Any] | None:
        answer = node.call("GET", path, token=node.root_token, **self._index)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unavailable("not now", service="vault", kind="away")
        return dict(answer.data)
