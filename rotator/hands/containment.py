"""A compromise on a person's word: the keys are marked, then passes are driven until they are replaced and proven dead.

Nothing here decides anything about keys. It writes the mark, on which every pass of every actor acts from then on, and watches.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.errors import Conflict, Refused, RotatorError, ServiceError, Unavailable, Unclear
from rotator.hands.result import Result, failed
from rotator.hands.waiting import AGAIN, Patience, Sleep, obstacle, pause
from rotator.ledgers import fresh_ledger, marked_compromised, was_proven_dead
from rotator.model import Ledger, Policy
from rotator.reconcile import drive, run_pass
from rotator.world import Memory, Outcome, World

MOST_TRIES = 20
"""How often a mark is written again because somebody else was faster each time."""

DURABLE = (
    "the mark is in the ledger and stays until the keys are proven dead: the daemon acts on it, or run the same command again"
)

HELD = "the mark is in the ledger and stays, but the keys live on until the hold is released"


def contain(
    policy: Policy,
    world: World,
    sleep: Sleep,
    reason: str,
    by: str,
    *,
    keys: frozenset[str] | None = None,
    incident: str = "",
) -> Result:
    """Mark the application's keys compromised, then see them replaced and proven dead: all that the ledger names and the published
    one, or ``keys`` and no others. ``incident`` is an id that the marks of several applications share."""
    try:
        keys, marked_at = mark(policy, world, sleep, reason, by, keys=keys, incident=incident)
    except Unclear as error:
        return failed(policy.application, error, "whether the mark was written is not known: run the same command again")
    except RotatorError as error:
        return failed(policy.application, error, "nothing was marked")
    result = _contain(policy, world, sleep, keys)
    return replace(result, marked_at=marked_at)


def mark(
    policy: Policy,
    world: World,
    sleep: Sleep,
    reason: str,
    by: str,
    *,
    keys: frozenset[str] | None = None,
    incident: str = "",
) -> tuple[frozenset[str], datetime]:
    """Write the mark for the published key and all that the ledger names (rule 9), or for these keys, confirmed; the keys, and when.
    Of these, one that is known to be dead is not marked any more."""
    incident, unclear, only = incident or world.clock.token(), False, keys
    for _ in range(MOST_TRIES):
        try:
            ledger, version, keys = _marked_or_not(policy, world)
        except ServiceError as error:
            if unclear:
                raise Unclear(str(error), service=error.service, kind=error.kind) from None
            raise
        if only is not None:
            keys = frozenset(key for key in only if key in keys or not was_proven_dead(ledger, key))
            if not keys:
                return keys, world.clock.now()
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
        hurdle = obstacle(policy, outcome, failures)
        failures = outcome.ledger.failures if outcome.ledger else failures
        over = patience.over(hurdle, outcome.ledger)
        if hurdle and hurdle.exit_code == 4:
            over = hurdle
        if over:
            alive, stays = _still_marked(outcome, keys), HELD if over.reason == "held" else DURABLE
            return replace(over, message=f"{', '.join(alive)} not proven dead: {over.message}; {stays}")
        pause(world, sleep, outcome)


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
        f"contained: {deaths or 'every key was dead already'}; {now}",
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
