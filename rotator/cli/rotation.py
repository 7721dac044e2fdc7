"""What ``rotate`` does: it drives passes itself, an actor like the daemon, until what was asked for is true and read back.

Nothing here decides anything about keys. It asks (a ``Request``, or the mark in the ledger), runs passes, and judges their
outcome: done, refused, failed, or a service that stayed away longer than the policy's patience.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.cli.failures import exit_code_of, explain
from rotator.cli.words import moment, span
from rotator.errors import Conflict, Refused, RotatorError, ServiceError, Unavailable, Unclear
from rotator.ledgers import fresh_ledger, marked_compromised
from rotator.model import Ledger, Policy
from rotator.ports import Journal
from rotator.reconcile import drive, run_pass
from rotator.steps import Request
from rotator.world import Memory, Outcome, World

Sleep = Callable[[datetime], None]

AGAIN = (timedelta(milliseconds=200), timedelta(seconds=1))
"""Shortest and longest pause between two passes: the other actor's work is watched, not awaited blindly."""

MOST_TRIES = 20
"""How often a mark is written again because somebody else was faster each time."""

DURABLE = (
    "the mark is in the ledger and stays until the keys are proven dead: the daemon acts on it, or run the same command again"
)

HELD = "the mark is in the ledger and stays, but the keys live on until the hold is released"


@dataclass(frozen=True)
class Result:
    """What became of one application. ``outcome`` is ``rotated``, ``overtaken`` (somebody else did it), ``contained``,
    ``refused``, ``failed`` or ``unreachable``."""

    application: str
    outcome: str
    exit_code: int
    message: str
    reason: str = ""
    access_key: str = ""
    version: int = 0
    replaced: str = ""
    revoke_after: datetime | None = None
    rotation_id: str = ""
    dead: Mapping[str, str] = field(default_factory=dict)
    marked_at: datetime | None = None
    contained_at: datetime | None = None


@dataclass
class Witness:
    """A journal that passes everything on and remembers which rotations this process claimed itself."""

    journal: Journal
    claimed: set[object] = field(default_factory=set)

    def emit(self, event: str, **fields: object) -> None:
        """Remember a claim; pass everything on."""
        if event == "rotation.claimed":
            self.claimed.add(fields.get("rotation_id"))
        self.journal.emit(event, **fields)


class Patience:
    """How long to go on while a service is away or an attempt keeps failing: as long as the policy lets a proven key wait."""

    def __init__(self, policy: Policy, world: World) -> None:
        self._limit = policy.publish_timeout
        self._world = world
        self._since: datetime | None = None
        self._last: Result | None = None

    def over(self, obstacle: Result | None, ledger: Ledger | None) -> Result | None:
        """What stands in the way, once it has done so for too long.

        The pause between two failed attempts is no recovery, whoever makes them; only an attempt under way is let finish.
        """
        failing = ledger is not None and ledger.failures > 0
        if obstacle is None and not failing:
            self._since = self._last = None
        self._last = obstacle or self._last
        if self._last is None:
            return None
        now = self._world.clock.now()
        self._since = self._since or now
        under_way = obstacle is None and ledger is not None and ledger.intent is not None
        return self._last if now - self._since >= self._limit and not under_way else None


# --- an ordinary rotation -------------------------------------------------------------------------------------------------


def rotate(policy: Policy, world: World, sleep: Sleep, reason: str) -> Result:
    """Rotate now: until the published key is another one and the ledger's current one. Raises nothing that a person is to read."""
    witness = Witness(world.journal)
    try:
        return _rotate(policy, replace(world, journal=witness), sleep, reason, witness)
    except RotatorError as error:
        return failed(policy, error)


def _rotate(policy: Policy, world: World, sleep: Sleep, reason: str, witness: Witness) -> Result:
    replaces = world.vault.read_document(policy.path, policy.access_field, policy.secret_field).published
    request, memory, patience = Request(reason, replaces), Memory(), Patience(policy, world)
    ledger, _ = world.vault.read_ledger(policy.application)
    failures = ledger.failures if ledger else 0
    while True:
        outcome = drive(run_pass(policy, world, memory, request), sleep)
        if done := _fulfilled(policy, outcome, replaces, witness):
            return done
        obstacle = _obstacle(policy, outcome, failures)
        failures = outcome.ledger.failures if outcome.ledger else failures
        if obstacle and obstacle.exit_code != 3:
            return obstacle
        if over := patience.over(obstacle, outcome.ledger):
            return over
        _pause(world, sleep, outcome)


def _fulfilled(policy: Policy, outcome: Outcome, replaces: str | None, witness: Witness) -> Result | None:
    """The result, if what the pass last read from Vault is what was asked for."""
    ledger, document = outcome.ledger, outcome.document
    if outcome.error or ledger is None or ledger.current is None or document is None:
        return None
    current = ledger.current
    if document.published in {None, replaces} or current.access_key != document.published:
        return None
    rotation_id = next((entry.rotation_id for entry in reversed(ledger.history) if entry.access_key == current.access_key), "")
    ours = rotation_id in witness.claimed
    old = next((entry for entry in ledger.retiring if entry.access_key == replaces), None)
    published = f"{current.access_key} is published in version {document.version} of {policy.path} and read back"
    rest = f"; {replaces} lives on until {moment(old.revoke_after)} ({span(policy.grace)} of grace)" if old else ""
    return Result(
        policy.application,
        "rotated" if ours else "overtaken",
        0,
        f"rotated: {published}{rest}" if ours else f"somebody else was faster, so nothing was left to do: {published}{rest}",
        access_key=current.access_key,
        version=document.version,
        replaced=replaces or "",
        revoke_after=old.revoke_after if old else None,
        rotation_id=rotation_id,
    )


# --- a compromise ---------------------------------------------------------------------------------------------------------


def contain(policy: Policy, world: World, sleep: Sleep, reason: str, by: str) -> Result:
    """Mark the application's keys compromised, then see them replaced and proven dead."""
    try:
        keys, marked_at = mark(policy, world, sleep, reason, by)
    except Unclear as error:
        return failed(policy, error, "whether the mark was written is not known: run the same command again")
    except RotatorError as error:
        return failed(policy, error, "nothing was marked")
    result = _contain(policy, world, sleep, keys)
    return replace(result, marked_at=marked_at)


def mark(policy: Policy, world: World, sleep: Sleep, reason: str, by: str) -> tuple[frozenset[str], datetime]:
    """Write the mark for the published key and all that the ledger names (rule 9), confirmed; the keys, and when."""
    incident, unclear = world.clock.token(), False
    for _ in range(MOST_TRIES):
        try:
            ledger, version, keys = _marked_or_not(policy, world)
        except ServiceError as error:
            if unclear:
                raise Unclear(str(error), service=error.service, kind=error.kind) from None
            raise
        if keys and keys <= ledger.compromised_keys():
            return keys, world.clock.now()
        if not keys:
            raise Refused(f"{policy.application} has no key yet, neither published nor in its ledger, so none can be compromised")
        now = world.clock.now()
        after = marked_compromised(ledger, keys, reason=reason, by=by, at=now, incident=incident, mode="replace_first")
        try:
            world.vault.write_ledger(after, cas=version)
        except (Conflict, Unclear) as error:
            unclear = unclear or isinstance(error, Unclear)
            world.journal.emit(
                "pass.interrupted", application=policy.application, account=policy.account, kind=error.kind, message=str(error)
            )
            sleep(world.clock.now() + AGAIN[0] / 10)
            continue
        world.journal.emit(
            "compromise.marked",
            application=policy.application,
            account=policy.account,
            incident=incident,
            access_keys=sorted(keys),
            reason=reason,
        )
        return keys, world.clock.now()
    raise Unavailable(
        f"the ledger of {policy.application} could not be written in {MOST_TRIES} attempts: others wrote it each time; try again",
        service="vault",
        kind="contended",
    )


def _marked_or_not(policy: Policy, world: World) -> tuple[Ledger, int, frozenset[str]]:
    """The ledger as it is now, its version, and the keys that an emergency is about."""
    ledger, version = world.vault.read_ledger(policy.application)
    if ledger is None:
        # The first ledger of an installation comes after its id, or it would look like one whose id was lost.
        world.vault.require_kv2(policy.path)
        world.vault.installation()
        ledger = fresh_ledger(policy)
    named = ledger.names()
    try:
        published = world.vault.read_document(policy.path, policy.access_field, policy.secret_field).published
    except RotatorError:
        if not named:
            raise
        published = None  # what the ledger names is marked all the same; the passes say what is wrong with the document
    return ledger, version, named | ({published} if published else set())


def _contain(policy: Policy, world: World, sleep: Sleep, keys: frozenset[str]) -> Result:
    memory, patience, failures = Memory(), Patience(policy, world), 0
    while True:
        outcome = drive(run_pass(policy, world, memory), sleep)
        if done := _contained(policy, world, outcome, keys):
            return done
        obstacle = _obstacle(policy, outcome, failures)
        failures = outcome.ledger.failures if outcome.ledger else failures
        over = patience.over(obstacle, outcome.ledger)
        if obstacle and obstacle.exit_code == 4:
            over = obstacle
        if over:
            alive, stays = _still_marked(outcome, keys), HELD if over.reason == "held" else DURABLE
            return replace(over, message=f"{', '.join(alive)} not proven dead: {over.message}; {stays}")
        _pause(world, sleep, outcome)


def _contained(policy: Policy, world: World, outcome: Outcome, keys: frozenset[str]) -> Result | None:
    """The result, if every marked key left the ledger with the proof of its death and none of them is published."""
    ledger, document = outcome.ledger, outcome.document
    if outcome.error or ledger is None or document is None or _still_marked(outcome, keys) or document.published in keys:
        return None
    dead = {key: _proof(ledger, key) for key in sorted(keys)}
    deaths = "; ".join(f"{key} is dead ({proof})" for key, proof in dead.items())
    if document.published:
        now = f"{document.published} is published in version {document.version} of {policy.path}"
    else:
        now = f"but no key is published at {policy.path}" + (f": {ledger.trouble.message}" if ledger.trouble else "")
    return Result(
        policy.application,
        "contained",
        0,
        f"contained: {deaths}; {now}",
        access_key=document.published or "",
        version=document.version,
        dead=dead,
        contained_at=world.clock.now(),
    )


def _still_marked(outcome: Outcome, keys: frozenset[str]) -> list[str]:
    return sorted(keys & outcome.ledger.compromised_keys()) if outcome.ledger else sorted(keys)


def _proof(ledger: Ledger, access_key: str) -> str:
    """How the death was proven, from the ledger: whoever proved it."""
    reasons = [entry.reason for entry in ledger.history if entry.event == "revoked" and entry.access_key == access_key]
    return reasons[-1].partition("; ")[2] if reasons else "as the ledger says"


# --- what stands in the way -----------------------------------------------------------------------------------------------


def _obstacle(policy: Policy, outcome: Outcome, failures: int) -> Result | None:
    """Why the pass did not get there, if it could not; None when it is only a matter of waiting for somebody."""
    name, ledger, wait = policy.application, outcome.ledger, outcome.wait
    if outcome.error is not None:
        return failed(policy, outcome.error)
    if ledger is not None and ledger.hold is not None:
        message = f"{name} is held by {ledger.hold.by} ({ledger.hold.reason}): nothing is claimed or revoked until it is released"
        return _result(policy, 4, message, "held")
    trouble = wait.trouble
    if trouble is None:
        return None
    blocked = wait.reason == trouble.reason
    attempt_failed = ledger is not None and ledger.failures > failures
    if blocked or attempt_failed:
        return _result(policy, exit_code_of(trouble.reason), trouble.message, trouble.reason)
    return None


def failed(policy: Policy, error: Exception, remark: str = "") -> Result:
    """The result that an error amounts to."""
    failure = explain(error)
    message = "; ".join([*failure.sentences, *([remark] if remark else [])])
    return _result(policy, failure.exit_code, message, failure.kind)


def _result(policy: Policy, exit_code: int, message: str, reason: str) -> Result:
    outcome = {3: "unreachable", 4: "refused"}.get(exit_code, "failed")
    return Result(policy.application, outcome, exit_code, message, reason)


def _pause(world: World, sleep: Sleep, outcome: Outcome) -> None:
    now = world.clock.now()
    shortest, longest = AGAIN
    sleep(min(max(outcome.wait.until, now + shortest), now + longest))
