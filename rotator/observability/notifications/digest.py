"""Selects the events that are worth a message, and combines them into messages. Time is an
argument, in monotonic seconds.

Messages go to services of other organisations. They consist of fixed sentences, names of
applications and accounts, and short identifiers such as ``quota``; never of a text in an event,
which may contain hosts or paths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from rotator.domain.reasons import REASONS, reason_of

Weight = Literal["failure", "warning", "success"]

SETTLE = 20.0
"""Seconds that the first item waits for others, so that a burst becomes one message."""

URGENT_SETTLE = 1.0
URGENT_SPACING = 15.0
"""The same for a compromise, and the shortest time between two messages if the second is about a
compromise."""

REMIND = timedelta(days=1).total_seconds()
"""Seconds until the same item about the same application is reported again."""

STUBBORN = 3
"""Consecutive failed passes before they are reported; a single one is repeated anyway."""

MOST_NAMES = 10
"""Maximum of names in one line; above it, their number."""


@dataclass(frozen=True)
class Topic:
    """One kind of problem with its sentence, to which names are added, and with the identifier in
    ``detail``: a field of the event that only `rotator` writes."""

    kind: Literal["compromise", "failure", "deadline"]
    sentence: str
    detail: str = ""


@dataclass(frozen=True)
class Recovery:
    """The end of a problem. It is reported if the problem was reported, or ``always``."""

    ends: frozenset[str]
    sentence: str = "well again"
    always: bool = False


@dataclass(frozen=True)
class Message:
    """A message to a person."""

    title: str
    body: str
    weight: Weight

    def after_lost(self, count: int) -> Message:
        """The message, with a note of how many earlier ones were not delivered."""
        if not count:
            return self
        return replace(
            self, body=f"{count} earlier message{'' if count == 1 else 's'} could not be delivered.\n{self.body}"
        )


_COMPROMISE = Topic("compromise", "a key was marked compromised; it is replaced and revoked at once")
_PROGRAM = Topic("failure", "an error of the program; please report it")

TOPICS: Mapping[str, Topic] = {
    "compromise.marked": _COMPROMISE,
    "rotation.claimed": _COMPROMISE,  # of an emergency only
    "application.blocked": Topic("failure", "blocked until the reason clears", "reason"),
    "rotation.create_failed": Topic("failure", "a new key could not be created; the old one stays", "reason"),
    "rotation.verification_failed": Topic("failure", "a new key did not become valid; the old one stays"),
    "key.published_key_invalid": Topic(
        "failure", "the published key is invalid, so consumers are down; it is replaced at once"
    ),
    "key.revocation_unverified": Topic("failure", "a deleted key still answers"),
    "pass.failed": Topic("failure", "cannot be reconciled", "reason"),
    "pass.crashed": _PROGRAM,
    "daemon.crashed": _PROGRAM,
    "daemon.removed_application_stuck": Topic("failure", "left the configuration, and its old keys cannot be revoked"),
    "daemon.reload_refused": Topic("failure", "the new configuration is not valid; the old one stays in force"),
    "login.failing": Topic("failure", "the login fails while its token is still valid; work stops when that ends"),
    "service.down": Topic("failure", "a service cannot be used", "kind"),
    "heartbeat.unhealthy": Topic("failure", "not done in time", "reason"),  # if no other event reports it
    "deadline.approaching": Topic("deadline", "the key approaches its deadline and cannot be replaced at present"),
    "deadline.missed": Topic("deadline", "the key is past its deadline and cannot be replaced at present"),
}

RECOVERIES: Mapping[str, Recovery] = {
    "application.recovered": Recovery(
        frozenset({"application.blocked", "rotation.create_failed", "rotation.verification_failed"}), always=True
    ),
    "rotation.committed": Recovery(
        frozenset(
            {
                "key.published_key_invalid",
                "rotation.create_failed",
                "rotation.verification_failed",
                "deadline.approaching",
                "deadline.missed",
            }
        )
    ),
    "key.revoked": Recovery(frozenset({"key.revocation_unverified"})),
    "pass.decided": Recovery(frozenset({"pass.failed", "pass.crashed"})),
    "daemon.reloaded": Recovery(frozenset({"daemon.reload_refused"}), "a valid configuration is in force"),
    "login.recovered": Recovery(frozenset({"login.failing"}), "the login works again"),
    "service.up": Recovery(frozenset({"service.down"}), "back", always=True),
    "heartbeat.healthy": Recovery(frozenset({"heartbeat.unhealthy"}), "everything is done in time again"),
    "compromise.contained": Recovery(
        frozenset({"compromise.marked", "rotation.claimed"}),
        "every compromised key is verified as revoked",
        always=True,
    ),
}

LATE = frozenset({"stuck", "overdue"})
"""Reasons of an unhealthy daemon that no other event reports."""

_MANY = {"compromise": "compromises", "failure": "failures", "deadline": "deadlines", "recovery": "recoveries"}
_IDENTIFIER = re.compile(r"[a-z][a-z_]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass
class Digest:
    """The items of the next message. ``every``: shortest time between two messages, in seconds."""

    name: str = "rotator"
    every: float = 300.0
    _reported_at: dict[tuple[str, str, str], float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _pending: dict[tuple[str, str, str], dict[str, None]] = field(default_factory=dict)
    _first: float | None = None
    _urgent: float | None = None
    _last: float | None = None

    def note(self, event: str, fields: Mapping[str, object], now: float) -> None:
        """Adds one event."""
        subject = _shown(fields.get("application") or fields.get("service") or fields.get("subject"))
        if recovery := RECOVERIES.get(event):
            self._end(event, recovery, subject, now)
        elif (topic := TOPICS.get(event)) and self._counts(event, subject, fields):
            detail = _detail(fields.get(topic.detail))
            same = ("compromise.marked" if topic is _COMPROMISE else event, subject, detail)
            if same not in self._reported_at or now - self._reported_at[same] >= REMIND:
                self._reported_at[same] = now
                self._add(topic.kind, _sentence(topic, detail), detail, subject, now)

    def ready_at(self) -> float | None:
        """When the next message is due; None without items."""
        if self._first is None:
            return None
        after = self._last if self._last is not None else self._first - self.every
        at = max(self._first + min(SETTLE, self.every), after + self.every)
        if self._urgent is not None:
            at = min(at, max(self._urgent + min(URGENT_SETTLE, self.every), after + min(URGENT_SPACING, self.every)))
        return at

    def take(self, now: float) -> Message | None:
        """All items as one message; they count as reported."""
        if self._first is None:
            return None
        message = _message(self.name, self._pending)
        self._pending, self._first, self._urgent, self._last = {}, None, None, now
        return message

    def _counts(self, event: str, subject: str, fields: Mapping[str, object]) -> bool:
        """Whether this event is worth a message."""
        if event == "pass.failed":
            self._failures[subject] = self._failures.get(subject, 0) + 1
            return self._failures[subject] >= STUBBORN
        if event == "rotation.claimed":
            return fields.get("mode") == "compromised"
        return event != "heartbeat.unhealthy" or _detail(fields.get("reason")) in LATE

    def _end(self, event: str, recovery: Recovery, subject: str, now: float) -> None:
        if event == "pass.decided":
            self._failures.pop(subject, None)
        over = [
            reported
            for reported in self._reported_at
            if reported[0] in recovery.ends
            and (reported[1] == subject or event in ("heartbeat.healthy", "daemon.reloaded"))
        ]
        for reported in over:
            del self._reported_at[reported]
        if over or recovery.always:
            self._add("recovery", recovery.sentence, "", subject, now)

    def _add(self, kind: str, sentence: str, detail: str, subject: str, now: float) -> None:
        self._pending.setdefault((kind, sentence, detail), {})[subject] = None
        self._first = now if self._first is None else self._first
        if kind == "compromise" and self._urgent is None:
            self._urgent = now


def _sentence(topic: Topic, detail: str) -> str:
    """The sentence of the topic; for a blocking reason with its action, from the catalogue and not
    from the event."""
    reason = reason_of(detail) if topic is TOPICS["application.blocked"] else None
    return f"{topic.sentence}; {REASONS[reason].general_action}" if reason else topic.sentence


def sample_message(name: str) -> Message:
    """The message of ``rotator notify --test``."""
    return Message(
        f"{name}: a test", "This is a test: messages of this installation arrive here. Nothing is wrong.", "success"
    )


def _message(name: str, pending: Mapping[tuple[str, str, str], Mapping[str, None]]) -> Message:
    lines, counts = [], dict.fromkeys(_MANY, 0)
    for kind in counts:
        for (of_kind, sentence, detail), subjects in pending.items():
            if of_kind == kind:
                counts[kind] += len(subjects)
                lines.append(f"{kind}: {sentence}{f' ({detail})' if detail else ''}{_names(list(subjects))}")
    title = ", ".join(f"{count} {_MANY[kind]}" if count > 1 else kind for kind, count in counts.items() if count)
    weight: Weight = (
        "failure" if counts["compromise"] or counts["failure"] else "warning" if counts["deadline"] else "success"
    )
    return Message(f"{name}: {title}", "\n".join([*lines, "More: rotator status, and the log."]), weight)


def _names(subjects: list[str]) -> str:
    shown = [subject for subject in subjects if subject]
    if not shown:
        return ""
    more = f" and {len(shown) - MOST_NAMES} more" if len(shown) > MOST_NAMES else ""
    return f": {', '.join(shown[:MOST_NAMES])}{more}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else ""


def _detail(value: object) -> str:
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else ""
