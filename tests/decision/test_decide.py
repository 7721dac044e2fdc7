"""The decision, rule by rule, on observations written by hand: what is seen, and the one step that follows."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from rotator.decision.classification import Disposition, classify, wanted_versions
from rotator.decision.next_action import next_action
from rotator.decision.observation import (
    DestroyedVersions,
    Fence,
    InFlightRotation,
    Observation,
    Preconditions,
    Presence,
    RotationFailure,
    RotationRequest,
)
from rotator.decision.state import TAKEOVER_MARGIN, ApplicationState
from rotator.decision.steps import (
    CheckPreconditions,
    CreateKey,
    DeleteKey,
    DestroyVersions,
    DiscardInFlight,
    Event,
    FenceDocument,
    ProbePublished,
    PublishKey,
    ReadVersions,
    Step,
    VerifyKey,
    VerifyRevocation,
    Wait,
    WriteLedger,
)
from rotator.domain.document import ABSENT, CredentialDocument, DocumentState
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import CompromisedKey, CurrentKey, Hold, Intent, Problem, RotationMode
from rotator.domain.marker import incarnation_of
from rotator.domain.reasons import REASONS, Reason
from rotator.domain.spec import MaintenanceWindow, VerificationPolicy
from rotator.domain.status import NextAction
from tests.support.observations import (
    BORN,
    CURRENT,
    DAY,
    FOURTH,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    SECOND,
    THIRD,
    VERSION,
    WRITTEN,
    clocks,
    decided,
    document,
    in_flight,
    intent,
    key,
    ledger,
    mark,
    marked,
    marker,
    observe,
    records,
    retiring,
    revoking,
    waits,
)
from tests.support.simulated import PATH, spec

LATER = spec().resync_interval
KNOWN = "c6db3b89999b133f"
"""The incarnation of the document of these tests: markers out there hold such digests, so it must never change."""


# --- what is said to a person ---------------------------------------------------------------------------------------------

ROOM = Preconditions((), 5)
DUE: dict[str, Any] = {
    "keys": (key(created_at=NOW - 30 * DAY),),
    "ledger": {"current": replace(CURRENT, created_at=NOW - 30 * DAY)},
}

BLOCKS: dict[str, tuple[Observation, dict[str, Any], str, str]] = {
    "another account": (
        observe(),
        {"account": "other"},
        "configuration_moved",
        ("the account of billing was acme and is now other"),
    ),
    "another bearer": (
        observe(),
        {"bearer": "b2"},
        "configuration_moved",
        ("the bearer of billing was 0766588d-4a0e-4938-a140-544964da7870 and is now b2"),
    ),
    "another path": (
        observe(),
        {"path": "secret/elsewhere"},
        "configuration_moved",
        ("the path of billing was secret/apps/billing/scaleway and is now secret/elsewhere"),
    ),
    "another field for the access key": (
        observe(),
        {"fields": {"ID": "{access_key}", "secret_key": "{secret_key}"}},
        "fields_renamed",
        ("the fields that hold the key of billing were renamed from access_key and secret_key"),
    ),
    "another field for the secret": (
        observe(),
        {"fields": {"access_key": "{access_key}", "SECRET": "{secret_key}"}},
        "fields_renamed",
        ("the fields that hold the key of billing were renamed from access_key and secret_key"),
    ),
    "a document older than the ledger": (
        observe(document=document(version=2)),
        {},
        "document_restored",
        ("the credential document of billing is at version 2, but version 3 is known to exist, so nothing is touched"),
    ),
    "a document older than this process has seen": (
        observe(floor=4),
        {},
        "document_stale",
        ("the credential document of billing is at version 3, but version 4 is known to exist, so nothing is touched"),
    ),
    "a key made for a later version": (
        observe(keys=(key(), marked(OTHER, base=4))),
        {},
        "document_restored",
        (
            "key SCWOTHER was made for version 4 of the credential document of billing, which is now at version 3,"
            " so nothing is touched"
        ),
    ),
    "a deleted document": (
        observe(document=document(state=DocumentState.DELETED)),
        {},
        "document_deleted",
        "the credential document of billing was deleted",
    ),
    "a document without a secret": (
        observe(document=document(secret=None)),
        {},
        "document_damaged",
        "the credential document of billing names key SCWPUBLISHED but holds no text that can be its secret",
    ),
    "a document without a name": (
        observe(document=document(None)),
        {},
        "document_damaged",
        "the credential document of billing holds a secret but names no key",
    ),
    "an emptied document": (
        observe(document=document(None, secret=None)),
        {},
        "document_emptied",
        "the credential document of billing no longer holds a key",
    ),
    "a key of another bearer": (
        observe(presence=Presence.FOREIGN, keys=()),
        {},
        "foreign_key",
        "the credential document of billing holds key SCWPUBLISHED, which belongs to another bearer or is no key at all",
    ),
    "no clear answer": (
        observe(presence=Presence.GONE, keys=(), published_probe=ProbeResult.INCONCLUSIVE),
        {},
        "probe_inconclusive",
        "the published key of billing could not be probed: no clear answer from the provider",
    ),
    "an unknown bearer": (
        observe(presence=Presence.GONE, keys=(), published_probe=ProbeResult.REJECTED, bearer_observed=False),
        {},
        "bearer_gone",
        (
            "the provider does not know the bearer 0766588d-4a0e-4938-a140-544964da7870 of billing, so nothing is touched"
        ),
    ),
    "a secret that does not fit": (
        observe(document=document(version=4), published_probe=ProbeResult.REJECTED),
        {},
        "secret_rejected",
        "the secret in the credential document of billing does not belong to key SCWPUBLISHED",
    ),
    "many dead at once": (
        observe(presence=Presence.GONE, keys=(), published_probe=ProbeResult.REJECTED, invalid_elsewhere=2),
        {},
        "many_keys_invalid",
        (
            "the published key of billing does not authenticate, and neither do those of other applications of its account"
        ),
    ),
    "two possible leftovers and no document": (
        observe(
            document=ABSENT,
            presence=Presence.NOTHING,
            ledger={"current": None},
            keys=(marked(OTHER, 0), marked(THIRD, 0, "f" * 16)),
        ),
        {},
        "orphan_ambiguous",
        "two attempts to make the first key of billing may have left keys behind (SCWOTHER, SCWTHIRD)",
    ),
    "three live keys": (
        observe(
            **{
                **DUE,
                "ledger": {**DUE["ledger"], "retiring": (retiring(OTHER, 7 * HOUR), retiring(THIRD, 8 * HOUR))},
                "keys": (key(), key(OTHER), key(THIRD)),
            }
        ),
        {},
        "too_many_keys",
        "billing has 3 valid keys already",
    ),
    "rights that Vault does not give": (
        observe(**DUE, preconditions=Preconditions(("create", "update"), None)),
        {},
        "vault_permission_missing",
        "the Vault token of rotator may not create and update secret/apps/billing/scaleway of billing",
    ),
    "no room": (
        observe(**DUE, preconditions=Preconditions((), 0)),
        {},
        "quota",
        ("the organisation of account acme has no room for another key, so billing cannot be rotated"),
    ),
    "an unconfirmed delete": (
        observe(
            ledger={"revoking": (revoking(OTHER), revoking(THIRD))},
            deleted=frozenset({OTHER, THIRD}),
            still_valid=frozenset({OTHER, THIRD}),
            unconfirmed={THIRD: "it timed out", OTHER: "500"},
        ),
        {},
        "delete_unconfirmed",
        "SCWOTHER still answers: 500; SCWTHIRD still answers: it timed out",
    ),
    "a deleted key that still answers": (
        observe(
            ledger={"revoking": (revoking(THIRD), revoking(OTHER))},
            deleted=frozenset({OTHER, THIRD}),
            still_valid=frozenset({OTHER, THIRD}),
        ),
        {},
        "revocation_unverified",
        "the deleted key SCWOTHER, SCWTHIRD of billing still answers, and probing goes on",
    ),
    "a delete that is refused": (
        observe(
            ledger={"revoking": (revoking(OTHER), revoking(THIRD))},
            undeletable={THIRD: "we may not", OTHER: "it is in use"},
        ),
        {},
        "delete_refused",
        "it is in use; we may not",
    ),
    "a key that became managed": (
        observe(
            ledger={"revoking": (revoking(OTHER), revoking(THIRD))},
            keys=(key(), key(OTHER, provider_managed=True), key(THIRD, deletable=False)),
        ),
        {},
        "not_revocable",
        "key SCWOTHER, SCWTHIRD of billing became managed or not deletable",
    ),
    "a compromised key of another bearer": (
        observe(ledger={"compromised": (mark(OTHER), mark(THIRD))}, foreign=frozenset({OTHER, THIRD})),
        {},
        "foreign_key",
        "the compromised key SCWOTHER, SCWTHIRD named for billing belongs to another bearer or is no key at all",
    ),
    "clocks that differ while a key is in grace": (
        observe(ledger={"retiring": (retiring(),)}, clocks=clocks(vault=40 * SECOND, provider=-50.4 * SECOND)),
        {},
        "clock_skew",
        "the clocks of this machine, of Vault and of the provider differ by 90 s, so revocations of billing wait",
    ),
    "clocks that differ while a key waits to be deleted": (
        observe(
            ledger={"revoking": (revoking(republished=True, not_before=NOW - DAY),)},
            clocks=clocks(vault=31 * SECOND),
        ),
        {},
        "clock_skew",
        "the clocks of this machine, of Vault and of the provider differ by 31 s, so revocations of billing wait",
    ),
    "a published key that is compromised, of an application that left the configuration": (
        observe(ledger={"compromised": (mark(PUBLISHED),)}),
        {"configured": False},
        "not_configured",
        "the published key of billing must be replaced, but the application left the configuration",
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_whatever_stops_an_application_is_said_with_the_remedy_and_written_down_once(name: str) -> None:
    observation, changes, reason, observed = BLOCKS[name]
    wanted = spec(**changes)
    message = f"{observed}: {REASONS[Reason(reason)].action}".format(
        application=wanted.application, account=wanted.account, path=wanted.path, bearer=wanted.bearer
    )
    if reason == "not_configured":
        message += f"; compromised, and not revoked because consumers may read it: {PUBLISHED}"
    if name == "a key made for a later version":
        message += f" ({OTHER})"
    step = decided(observation, wanted)
    problem = Problem(reason, message, NOW)
    if REASONS[Reason(reason)].recorded:
        assert step == WriteLedger(
            replace(observation.ledger or ledger(), problem=problem),
            (Event("application.blocked", {"reason": reason, "message": message}),),
        )
        assert isinstance(step, WriteLedger)
        since = replace(problem, since=NOW - HOUR)
        step = decided(replace(observation, ledger=replace(step.ledger, problem=since)), wanted)
        problem = since
    assert isinstance(step, Wait)
    assert (step.reason, step.message, step.problem) == (reason, message, problem)
    assert step.until == (NOW + LATER if reason == "too_many_keys" else NOW + 30 * SECOND)


def test_another_trouble_than_the_one_that_is_known_begins_anew() -> None:
    known = Problem("quota", "no room", NOW - DAY)
    step = records(observe(document=document(None), ledger={"problem": known}))
    assert step.ledger.problem is not None
    assert (step.ledger.problem.reason, step.ledger.problem.since) == ("document_damaged", NOW)


def test_without_a_ledger_a_trouble_is_only_said() -> None:
    assert waits(observe(ledger=None, document=document(None))).reason == "document_damaged"


def test_a_trouble_that_cleared_leaves_the_ledger_and_says_so() -> None:
    step = records(observe(ledger={"problem": Problem("quota", "no room", NOW - DAY)}))
    assert step == WriteLedger(ledger(), (Event("application.recovered", {"reason": "quota"}),))


def test_a_trouble_stays_as_long_as_failures_are_counted() -> None:
    problem = Problem("quota", "no room", NOW - DAY)
    assert waits(observe(ledger={"problem": problem, "failures": 1})).problem == problem


def test_a_trouble_is_looked_at_again_no_later_than_an_application_at_rest() -> None:
    assert waits(observe(floor=4), spec(resync_interval=10 * SECOND)).until == NOW + 10 * SECOND


# --- at rest: when next, and why ------------------------------------------------------------------------------------------


def test_an_application_at_rest_is_looked_at_again_after_its_interval() -> None:
    assert waits(observe(), spec(every=None)) == Wait(NOW + LATER, "observe", "nothing is due")


def test_what_is_due_next_is_told_also_when_the_next_look_comes_sooner() -> None:
    assert waits(observe()) == Wait(NOW + LATER, "rotate", "every 30d")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"retiring": (retiring(OTHER, HOUR), retiring(THIRD, 2 * HOUR))}, (HOUR, "revoke", "grace of SCWOTHER ends")),
        (
            {"revoking": (revoking(republished=True, not_before=NOW + HOUR),)},
            (HOUR, "revoke", "SCWOTHER is scheduled for revocation"),
        ),
        ({"revoking": (revoking(),), "hold": Hold("migration", "ops", NOW)}, (LATER, "held", "held by ops: migration")),
        ({"intent": intent()}, (9 * MINUTE, "takeover", "rotation dddddddddddddddd is under way")),
        ({"intent": intent(), "not_before": NOW + HOUR}, (HOUR, "takeover", "rotation dddddddddddddddd is under way")),
    ],
)
def test_the_next_action_is_the_earliest_one(changes: dict[str, Any], expected: tuple[timedelta, str, str]) -> None:
    after, reason, message = expected
    assert waits(observe(ledger=changes)) == Wait(NOW + after, reason, message)


def test_a_condemned_key_that_waits_for_something_else_is_looked_at_soon() -> None:
    observation = observe(
        ledger={"revoking": (revoking(),)}, deleted=frozenset({OTHER}), revoked={}, still_valid=frozenset({THIRD})
    )
    observation = replace(
        observation, still_valid=frozenset(), ledger=ledger(revoking=(revoking(republished=True),)), deleted=frozenset()
    )
    assert waits(observation) == Wait(NOW + 30 * SECOND, "revoke", "SCWOTHER is scheduled for revocation")


def test_a_deadline_waits_for_the_slowest_clock() -> None:
    observation = observe(ledger={"retiring": (retiring(),)}, clocks=clocks(vault=-20 * SECOND))
    assert waits(observation).until == NOW + HOUR + 20 * SECOND


def test_what_is_past_due_is_looked_at_in_a_moment_and_never_in_the_past() -> None:
    failed = {"current": replace(CURRENT, created_at=NOW - 60 * DAY), "not_before": NOW + timedelta(milliseconds=50)}
    assert waits(observe(ledger=failed)) == Wait(NOW + timedelta(milliseconds=200), "rotate", "every 30d")


def test_after_a_failure_without_a_schedule_the_patience_is_the_next_action() -> None:
    assert waits(observe(ledger={"not_before": NOW + HOUR}), spec(every=None)) == Wait(
        NOW + HOUR, "rotate", "after a failure"
    )


def test_patience_that_is_over_is_no_action() -> None:
    assert waits(observe(ledger={"not_before": NOW}), spec(every=None)).reason == "observe"
    assert waits(observe(ledger={"not_before": NOW - HOUR}), spec(every=None)).reason == "observe"


def test_a_patience_that_a_clock_which_leapt_has_written_is_not_waited_for() -> None:
    near, far = NOW + 2 * HOUR, NOW + 2 * HOUR + SECOND
    wanted = spec(every=None)
    assert waits(observe(ledger={"not_before": near}), wanted).message == "after a failure"
    assert waits(observe(ledger={"not_before": far}), wanted).message == "nothing is due"


def test_an_application_that_left_the_configuration_asks_for_no_rotation() -> None:
    late = {"current": replace(CURRENT, created_at=NOW - 60 * DAY), "not_before": NOW + HOUR}
    assert waits(observe(ledger=late), spec(configured=False)) == Wait(NOW + LATER, "observe", "nothing is due")


def test_an_emergency_that_must_be_patient_says_so_and_no_grace_is_the_next_action() -> None:
    changes = {
        "compromised": (mark(PUBLISHED),),
        "not_before": NOW + 5 * SECOND,
        "failures": 1,
        "retiring": (retiring(OTHER, SECOND),),
    }
    assert waits(observe(ledger=changes)) == Wait(NOW + 5 * SECOND, "rotate", "consumers need another key")


# --- what is compromised --------------------------------------------------------------------------------------------------


def test_r9_a_compromised_key_that_is_not_published_is_condemned_with_the_version_that_held_it() -> None:
    step = records(
        observe(ledger={"compromised": (mark(),), "retiring": (retiring(OTHER, version=2),)}, keys=(key(), key(OTHER)))
    )
    assert step.ledger == ledger(compromised=(mark(),), revoking=(revoking(OTHER, 2, "compromised"),))
    assert step.events == (Event("key.revocation_scheduled", {"access_key": OTHER, "reason": "compromised"}),)


def test_r9_a_compromised_key_that_nothing_names_is_condemned_without_a_version() -> None:
    step = records(
        observe(
            ledger={"compromised": (mark(),), "retiring": (retiring(THIRD),)},
            fence=Fence(VERSION, frozenset({OTHER, THIRD})),
        )
    )
    assert step.ledger.revoking == (revoking(OTHER, 0, "compromised"),)


def test_r9_a_compromised_current_key_that_left_the_document_is_condemned_with_its_version() -> None:
    observation = observe(
        ledger={"compromised": (mark(PUBLISHED),)}, document=document(OTHER, 4), keys=(key(), key(OTHER))
    )
    assert records(observation).ledger.revoking == (revoking(PUBLISHED, VERSION, "compromised"),)


def test_r9_revoke_first_revokes_the_published_key_with_the_version_of_the_document_once_the_way_is_clear() -> None:
    observation = observe(ledger={"compromised": (mark(PUBLISHED, "revoke_first"),)}, document=document(version=5))
    assert decided(observation) == CheckPreconditions(urgent=True, revoke_first=True)
    observation = replace(observation, preconditions=Preconditions())
    assert records(observation).ledger.revoking == (revoking(PUBLISHED, 5, "compromised"),)


def test_r9_only_revoke_first_may_delete_what_is_published() -> None:
    condemned_now = {"revoking": (revoking(OTHER, 2, "compromised"),)}
    assert decided(observe(ledger={"compromised": (mark(),), **condemned_now})) == DeleteKey(OTHER, "compromised")
    first = {"revoking": (revoking(PUBLISHED, 3, "compromised"),), "compromised": (mark(PUBLISHED, "revoke_first"),)}
    assert decided(observe(ledger=first)) == DeleteKey(PUBLISHED, "compromised", even_if_published=True)


def test_r9_revoke_first_for_a_key_that_is_not_published_waits_for_nothing_either() -> None:
    observation = observe(
        ledger={"compromised": (mark(mode="revoke_first"),), "revoking": (revoking(reason="compromised"),)}
    )
    assert decided(observation) == DeleteKey(OTHER, "compromised", even_if_published=True)


def test_r9_one_compromised_key_that_cannot_go_does_not_keep_the_next_one_waiting() -> None:
    both = {"compromised": (mark(), mark(THIRD))}
    older = key(THIRD, created_at=BORN - SECOND)
    untouchable = observe(ledger=both, keys=(key(), key(OTHER, provider_managed=True), older))
    assert records(untouchable).ledger.revoking == (revoking(THIRD, 0, "compromised"),)
    foreign = observe(ledger=both, foreign=frozenset({OTHER}), keys=(key(), older))
    assert records(foreign).ledger.revoking == (revoking(THIRD, 0, "compromised"),)
    published = observe(ledger={"compromised": (mark(PUBLISHED), mark(THIRD))}, keys=(key(), older))
    assert records(published).ledger.revoking == (revoking(THIRD, 0, "compromised"),)


@pytest.mark.parametrize("done", ["deleted", "revoked", "undeletable"])
def test_r9_a_compromised_key_is_deleted_once(done: str) -> None:
    both = {
        "compromised": (mark(), mark(THIRD)),
        "revoking": (revoking(reason="compromised"), revoking(THIRD, 0, "compromised")),
    }
    how: Any = frozenset({OTHER}) if done == "deleted" else {OTHER: "refused"}
    assert decided(observe(ledger=both, **{done: how})) == DeleteKey(THIRD, "compromised")


def test_r9_a_held_application_is_not_contained() -> None:
    assert waits(observe(ledger={"compromised": (mark(),), "hold": Hold("migration", "ops", NOW)})).reason == "held"


def test_r9_the_death_of_compromised_keys_is_proven_and_recorded_before_anything_else_when_consumers_are_well() -> None:
    changes = {"compromised": (mark(),), "revoking": (revoking(THIRD), revoking(reason="compromised"))}
    deleted = observe(ledger=changes, deleted=frozenset({OTHER, THIRD}))
    assert decided(deleted) == VerifyRevocation(OTHER, 2, emergency=True)
    verified = replace(deleted, revoked={OTHER: "refused"})
    assert decided(verified) == DestroyVersions(OTHER, 2)
    revoked = records(replace(verified, destroyed={OTHER: DestroyedVersions((2,))}))
    assert revoked.ledger.compromised == ()
    assert revoked.ledger.revoking == (revoking(THIRD),)


def test_r7_versions_tell_what_became_of_unnamed_keys_before_they_are_destroyed() -> None:
    changes = {"compromised": (mark(),), "revoking": (revoking(reason="compromised"),)}
    verified = observe(
        ledger=changes, keys=(key(), marked(THIRD, 1)), deleted=frozenset({OTHER}), revoked={OTHER: "refused"}
    )
    assert decided(verified) == ReadVersions(frozenset({1, 2}))
    read = {1: document("SCWOLD", 1, created_time=WRITTEN - 2 * DAY), 2: document(OTHER, 2, created_time=WRITTEN - DAY)}
    told = records(replace(verified, versions=read))
    assert told.ledger.revoking == (*changes["revoking"], revoking(THIRD, 0, "leftover"))
    assert decided(replace(verified, versions=read, ledger=told.ledger)) == DestroyVersions(OTHER, 2)


def test_only_the_stored_secrets_of_compromised_keys_are_destroyed() -> None:
    changes = {"revoking": (revoking(THIRD), revoking(OTHER))}
    observation = observe(
        ledger=changes, deleted=frozenset({OTHER, THIRD}), revoked={OTHER: "refused", THIRD: "refused"}
    )
    assert records(observation).ledger.revoking == ()


def test_r9_consumers_come_before_the_proof_of_a_death() -> None:
    changes = {"compromised": (mark(), mark(PUBLISHED)), "revoking": (revoking(reason="compromised"),)}
    observation = observe(
        ledger=changes,
        deleted=frozenset({OTHER}),
        revoked={OTHER: "refused"},
        destroyed={OTHER: DestroyedVersions((2,))},
    )
    assert isinstance(records(observation).ledger.current, CurrentKey)
    assert decided(replace(observation, revoked={})) == CheckPreconditions(urgent=True)


def test_r9_a_secret_that_is_held_comes_before_the_proof_of_a_death() -> None:
    changes = {"compromised": (mark(),), "revoking": (revoking(reason="compromised"),), "intent": intent("daemon-1")}
    observation = observe(ledger=changes, deleted=frozenset({OTHER}), in_flight=in_flight(posted=True, key=key(THIRD)))
    assert decided(observation) == VerifyKey()


def test_i1_r9_a_compromised_key_that_may_still_be_published_is_fenced_off_first() -> None:
    observation = observe(ledger={"compromised": (mark(),)}, keys=(key(), marked(OTHER)))
    assert decided(observation) == FenceDocument()
    older = key(OTHER, created_at=BORN - SECOND)
    assert isinstance(decided(replace(observation, keys=(key(), marked(THIRD), older))), WriteLedger), (
        "another key is possible"
    )
    later = (key(created_at=BORN + HOUR), marked(OTHER))
    moved_on = replace(observation, document=document(version=4), keys=later, published_probe=ProbeResult.VALID)
    assert isinstance(decided(moved_on), WriteLedger), "it cannot be"


def test_i1_r9_our_own_key_that_no_publish_was_sent_for_needs_no_fence() -> None:
    rotation = in_flight(posted=True, key=marked(OTHER))
    changes = {"compromised": (mark(),), "intent": intent("daemon-1")}
    observation = observe(ledger=changes, keys=(key(), marked(OTHER)), in_flight=rotation)
    assert isinstance(decided(observation), WriteLedger)
    assert decided(replace(observation, in_flight=replace(rotation, publish_sent=True))) == FenceDocument()
    assert decided(replace(observation, in_flight=replace(rotation, key=marked(THIRD)))) == FenceDocument()
    assert decided(replace(observation, in_flight=replace(rotation, key=None))) == FenceDocument()


def beside(*keys: Key, **changes: Any) -> Step:
    """What is decided about a marked key beside the published one."""
    ledger = {"compromised": (mark(),), **changes.pop("ledger", {})}
    return decided(observe(**{"ledger": ledger, "keys": (key(), *keys), **changes}))


YOUNGER = key(OTHER, created_at=BORN + SECOND)


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        ([YOUNGER], {}),
        ([key(OTHER, created_at=BORN)], {}),
        ([marked(OTHER, base=1, created_at=BORN + SECOND)], {}),
        ([], {}),
        ([YOUNGER], {"keys": (YOUNGER,)}),
        ([YOUNGER], {"fence": Fence(VERSION + 1, frozenset({OTHER}))}),
        ([YOUNGER], {"fence": Fence(VERSION, frozenset({THIRD}))}),
    ],
    ids=[
        "it is younger than the published key",
        "of the same second",
        "it has the marker of an older one, which a person wrote there",
        "the provider does not show it yet",
        "the provider does not show the published key",
        "the write of the fence was not executed",
        "it was marked after the fence",
    ],
)
def test_c17_a_marked_key_that_may_be_made_for_the_present_version_is_fenced_off(
    keys: list[Key], changes: dict[str, Any]
) -> None:
    assert beside(*keys, **changes) == FenceDocument()


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        (key(OTHER, created_at=BORN - SECOND), {}),
        (YOUNGER, {"fence": Fence(VERSION, frozenset({OTHER}))}),
        (YOUNGER, {"fence": Fence(VERSION - 1, frozenset({OTHER}))}),
        (YOUNGER, {"ledger": {"retiring": (retiring(),)}}),
        (YOUNGER, {"fence_refused": True}),
        (YOUNGER, {"document": document(version=VERSION - 1)}),
        (YOUNGER, {"document": replace(ABSENT, created_time=None)}),
    ],
    ids=[
        "it is older than the published key",
        "this version is the fence",
        "a later version is a fence as well, whoever wrote it",
        "it was published before",
        "the fence was refused",
        "the document was restored, and stays as it is",
        "the document is gone, and stays as it is",
    ],
)
def test_c17_a_marked_key_is_revoked_without_a_fence(made: Key, changes: dict[str, Any]) -> None:
    step = beside(made, **changes)
    assert isinstance(step, WriteLedger), step
    assert step.ledger.is_revoking(OTHER)


def test_c17_a_key_that_needs_no_fence_is_revoked_before_the_fence_of_another() -> None:
    both: dict[str, Any] = {"compromised": (mark(), mark(THIRD)), "retiring": (retiring(THIRD),)}
    step = beside(YOUNGER, key(THIRD), ledger=both)
    assert isinstance(step, WriteLedger)
    assert step.ledger.is_revoking(THIRD)
    revoking_it = {**both, "retiring": (), "revoking": (revoking(THIRD, reason="compromised"),)}
    assert beside(YOUNGER, key(THIRD), ledger=revoking_it) == DeleteKey(THIRD, "compromised")
    assert beside(YOUNGER, ledger=revoking_it, deleted=frozenset({THIRD})) == FenceDocument()


def test_c17_a_possibly_pending_key_is_not_revoked_while_its_fence_is_refused() -> None:
    step = beside(marked(OTHER), fence_refused=True)
    assert isinstance(step, Wait)


def test_c17_a_compromised_first_key_is_fenced_off_where_there_is_no_document() -> None:
    observation = observe(
        document=ABSENT,
        presence=Presence.NOTHING,
        keys=(marked(OTHER, 0),),
        ledger={"current": None, "compromised": (mark(),)},
    )
    assert decided(observation) == FenceDocument()


def test_i1_r9_a_deleted_document_is_nothing_to_fence_with() -> None:
    observation = observe(
        document=document(None, secret=None, state=DocumentState.DELETED),
        presence=Presence.NOTHING,
        keys=(marked(OTHER, 5),),
        ledger={"current": None, "compromised": (mark(),)},
    )
    assert records(observation).ledger.revoking == (revoking(OTHER, 0, "compromised"),)


# --- the rotation that this process holds ---------------------------------------------------------------------------------


def holding(**changes: Any) -> Observation:
    """A rotation of ours under way, its POST not yet sent."""
    return observe(**{"ledger": {"intent": intent("daemon-1")}, "in_flight": in_flight(), **changes})


DESCRIPTION = marker(rotation="d" * 16).render("made by hand")
"""Of a new key: what it is for is carried over from the key that it replaces."""


def test_r3_a_claimed_rotation_creates_with_its_marker_the_current_project_and_the_configured_lifetime() -> None:
    wanted = spec(lifetime=90 * DAY)
    assert decided(holding(), wanted) == CreateKey(DESCRIPTION, "the-project", 90 * DAY)
    assert decided(holding(), spec(default_project_id="p2")) == CreateKey(DESCRIPTION, "p2", None)


def test_r3_the_project_is_that_of_the_ledgers_current_key_or_of_the_published_one() -> None:
    observation = holding(keys=(key(default_project_id="p1"), key(OTHER, default_project_id="p2")))
    assert decided(observation) == CreateKey(DESCRIPTION, "p1", None)
    lost = {"intent": intent("daemon-1"), "current": None, "revoking": (revoking(PUBLISHED, republished=True),)}
    assert decided(holding(ledger=lost, keys=observation.keys)) == CreateKey(DESCRIPTION, "p1", None)


def test_r3_a_key_that_the_provider_does_not_list_tells_no_project() -> None:
    observation = holding(keys=(), presence=Presence.LISTED)
    assert decided(observation) == CreateKey(marker(rotation="d" * 16).render(), None, None)


def test_r3_what_was_posted_without_an_answer_is_abandoned_as_lost() -> None:
    step = records(holding(in_flight=in_flight(posted=True)))
    assert step.ledger.intent is None
    assert step.ledger.failures == 1
    assert step.ledger.problem == Problem("create_unconfirmed", "the answer to the create was lost", NOW)
    assert step.events == (
        Event(
            "rotation.abandoned",
            {"rotation_id": "d" * 16, "reason": "create_unconfirmed", "message": "the answer to the create was lost"},
        ),
    )


def test_r4_r5_a_made_key_is_proven_and_then_published() -> None:
    assert decided(holding(in_flight=in_flight(posted=True, key=key(OTHER)))) == VerifyKey()
    assert decided(holding(in_flight=in_flight(posted=True, key=key(OTHER), verified=True))) == PublishKey()


def test_a_failure_abandons_counts_and_condemns_the_key_that_was_never_sent_to_be_published() -> None:
    failed = in_flight(
        posted=True, key=key(OTHER), failure=RotationFailure("verification_failed", "it never became valid")
    )
    step = records(holding(in_flight=failed))
    assert step.ledger.failures == 1
    assert step.ledger.problem == Problem("verification_failed", "it never became valid", NOW)
    assert step.ledger.revoking == (revoking(OTHER, 0, "leftover"),)
    assert step.events == (
        Event(
            "rotation.abandoned",
            {"rotation_id": "d" * 16, "reason": "verification_failed", "message": "it never became valid"},
        ),
        Event("key.revocation_scheduled", {"access_key": OTHER, "reason": "leftover, verification_failed"}),
    )


def test_r7_a_key_that_may_have_been_published_is_left_to_the_version_after_its_base() -> None:
    failed = in_flight(
        posted=True,
        key=key(OTHER),
        publish_sent=True,
        failure=RotationFailure("vault_unavailable", "Vault did not come back"),
    )
    assert records(holding(in_flight=failed)).ledger.revoking == ()


@pytest.mark.parametrize(
    "changes",
    [
        {
            "document": document(version=4),
            "published_probe": ProbeResult.VALID,
            "ledger": {"intent": intent("daemon-1"), "current": replace(CURRENT, version=4)},
        },
        {
            "document": document(created_time=WRITTEN + DAY),
            "ledger": {"intent": intent("daemon-1"), "current": replace(CURRENT, written=None)},
        },
        {"document": document(state=DocumentState.DELETED)},
    ],
)
def test_r5_a_document_that_changed_meanwhile_ends_a_rotation_without_counting_a_failure(
    changes: dict[str, Any],
) -> None:
    step = records(holding(**changes, in_flight=in_flight(posted=True, key=key(OTHER))))
    assert step.ledger.intent is None
    assert step.ledger.failures == 0
    assert step.ledger.problem is None
    assert step.events == (
        Event(
            "rotation.abandoned",
            {"rotation_id": "d" * 16, "reason": "overtaken", "message": "the credential document changed meanwhile"},
        ),
        Event("key.revocation_scheduled", {"access_key": OTHER, "reason": "leftover, overtaken"}),
    )


@pytest.mark.parametrize("other", [None, intent("daemon-2", id="c" * 16)])
def test_r12_a_rotation_that_the_ledger_no_longer_names_is_let_go(other: Any) -> None:
    observation = observe(ledger={"intent": other}, in_flight=in_flight())
    assert decided(observation) == DiscardInFlight()
    made = records(replace(observation, in_flight=in_flight(posted=True, key=key(OTHER))))
    assert made.ledger.revoking == (revoking(OTHER, 0, "leftover"),)
    assert made.ledger.intent == other
    assert made.events == (Event("key.revocation_scheduled", {"access_key": OTHER, "reason": "leftover, overtaken"}),)


def test_r8_what_is_condemned_already_is_not_condemned_again_when_its_rotation_ends() -> None:
    observation = observe(ledger={"revoking": (revoking(),)}, in_flight=in_flight(posted=True, key=key(OTHER)))
    assert decided(observation) == DiscardInFlight()


# --- the ledger follows the document --------------------------------------------------------------------------------------


def test_r6_a_published_key_that_the_ledger_does_not_know_is_tried_first_and_followed_then() -> None:
    observation = observe(document=document(OTHER, 4), keys=(key(), key(OTHER)))
    assert decided(observation) == ProbePublished()
    step = records(replace(observation, published_probe=ProbeResult.VALID))
    assert step.ledger.current is not None
    assert (step.ledger.current.access_key, step.ledger.current.version) == (OTHER, 4)


@pytest.mark.parametrize("lost", ["the secret", "the proof", "the key", "another key", "another secret"])
def test_r6_only_the_very_pair_that_this_process_has_proven_needs_no_trial(lost: str) -> None:
    document_seen = document(OTHER, 4)
    verified = in_flight(posted=True, key=key(OTHER), secret=document_seen.secret, verified=True, publish_sent=True)
    observation = observe(
        ledger={"intent": intent("daemon-1")}, document=document_seen, keys=(key(), key(OTHER)), in_flight=verified
    )
    assert isinstance(decided(observation), WriteLedger)
    less = {
        "the secret": replace(verified, secret=None),
        "the proof": replace(verified, verified=False),
        "the key": replace(verified, key=None),
        "another key": replace(verified, key=key(THIRD)),
        "another secret": replace(verified, secret=type(document_seen.secret)("x")),  # type: ignore[misc]  # a Secret
    }[lost]
    assert decided(replace(observation, in_flight=less)) == ProbePublished()


def test_r6_a_key_that_is_settled_and_listed_is_not_tried_again() -> None:
    assert waits(observe(published_probe=None)).reason == "rotate"


def test_r6_a_settled_key_that_the_provider_does_not_show_is_tried_and_means_a_wrong_account_when_it_works() -> None:
    observation = observe(presence=Presence.GONE, keys=())
    assert decided(observation) == ProbePublished()
    assert waits(replace(observation, published_probe=ProbeResult.VALID)).reason == "wrong_account"


def test_r6_an_expired_key_is_tried_although_it_is_listed() -> None:
    assert decided(observe(keys=(key(expires_at=NOW),))) == ProbePublished()
    assert isinstance(decided(observe(keys=(key(expires_at=NOW + SECOND),))), Wait)


def test_r13_a_key_has_expired_when_every_clock_says_so() -> None:
    expiring = observe(keys=(key(expires_at=NOW),), clocks=clocks(provider=-SECOND))
    assert isinstance(decided(expiring), Wait)


def test_r6_a_dead_key_is_replaced_at_once_and_an_emergency_asks_no_head_room() -> None:
    gone = observe(presence=Presence.GONE, keys=(), published_probe=ProbeResult.REJECTED)
    assert decided(gone) == CheckPreconditions(urgent=True)
    step = records(replace(gone, preconditions=Preconditions()))
    assert step.ledger.intent is not None
    assert (step.ledger.intent.mode, step.ledger.intent.reason) == (
        RotationMode.RECOVERY,
        "the published key is invalid",
    )


def test_r6_an_expired_key_that_is_refused_is_dead() -> None:
    assert decided(observe(keys=(key(expires_at=NOW),), published_probe=ProbeResult.REJECTED)) == CheckPreconditions(
        urgent=True
    )


def test_r6_one_other_dead_application_is_no_reason_to_doubt_the_account_and_a_person_who_asks_is_believed() -> None:
    gone = observe(presence=Presence.GONE, keys=(), published_probe=ProbeResult.REJECTED)
    assert decided(replace(gone, invalid_elsewhere=1)) == CheckPreconditions(urgent=True)
    assert decided(
        replace(gone, invalid_elsewhere=2, request=RotationRequest("it died", PUBLISHED))
    ) == CheckPreconditions(urgent=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"published_probe": ProbeResult.INCONCLUSIVE},
        {"published_probe": ProbeResult.REJECTED, "invalid_elsewhere": 2},
        {
            "published_probe": ProbeResult.REJECTED,
            "presence": Presence.LISTED,
            "keys": (key(),),
            "document": document(version=4),
        },
    ],
)
def test_r9_an_emergency_does_not_wait_for_what_would_block_others(changes: dict[str, Any]) -> None:
    values = {"presence": Presence.GONE, "keys": (), "ledger": {"compromised": (mark(PUBLISHED),)}, **changes}
    assert decided(observe(**values)) == CheckPreconditions(urgent=True)


def test_r6_nothing_is_committed_on_an_unclear_answer() -> None:
    observation = observe(
        ledger={"compromised": (mark(OTHER),), "revoking": ()},
        document=document(OTHER, 4),
        keys=(key(), key(OTHER)),
        published_probe=ProbeResult.INCONCLUSIVE,
    )
    assert decided(observation) == CheckPreconditions(urgent=True)


def test_r8_a_condemned_key_that_is_published_again_is_noted_once_and_replaced() -> None:
    changes = {"revoking": (revoking(THIRD), revoking(OTHER))}
    observation = observe(ledger=changes, document=document(OTHER, 4), keys=(key(), key(OTHER)))
    step = records(observation)
    assert step.ledger.revoking == (revoking(THIRD), revoking(OTHER, republished=True))
    assert step.events == (Event("key.republished", {"access_key": OTHER}),)
    assert decided(replace(observation, ledger=step.ledger)) == CheckPreconditions(urgent=True)


def test_r9_a_compromised_key_that_is_published_again_is_owed_no_grace() -> None:
    changes = {"revoking": (revoking(OTHER, reason="compromised"),), "compromised": (mark(OTHER),)}
    observation = observe(ledger=changes, document=document(OTHER, 4), keys=(key(), key(OTHER)))
    assert decided(observation) == CheckPreconditions(urgent=True)


def test_i2_what_nobody_followed_is_read_before_the_ledger_follows_when_keys_are_on_their_way_out() -> None:
    changes = {"retiring": (retiring(),)}
    observation = observe(
        ledger=changes, document=document(THIRD, 6), keys=(key(), key(THIRD)), published_probe=ProbeResult.VALID
    )
    assert decided(observation) == ReadVersions(frozenset({3, 4, 5}))
    some = replace(observation, versions={4: document(OTHER, 4)})
    assert decided(some) == ReadVersions(frozenset({3, 5}))
    everything = {number: document(name, number) for number, name in ((3, PUBLISHED), (4, OTHER), (5, FOURTH))}
    step = records(replace(observation, versions=everything))
    assert step.ledger.retiring[0].revoke_after == NOW + DAY, "it was published meanwhile"
    nothing = observe(document=document(THIRD, 6), keys=(key(), key(THIRD)), published_probe=ProbeResult.VALID)
    assert isinstance(decided(nothing), WriteLedger), "no key could have been published again"


def test_i2_of_many_versions_that_nobody_followed_the_ten_that_vault_keeps_are_read() -> None:
    changes = {"revoking": (revoking(version=0, republished=True),)}
    observation = observe(
        ledger=changes, document=document(THIRD, 20), keys=(key(), key(THIRD)), published_probe=ProbeResult.VALID
    )
    assert decided(observation) == ReadVersions(frozenset(range(10, 20)))
    few = replace(observation, document=document(THIRD, 13))
    assert decided(few) == ReadVersions(frozenset(range(3, 13)))


def followed(version: int = 5, **changes: Any) -> Any:
    """What becomes of a key in grace when a later version with another key is followed."""
    values: dict[str, Any] = {
        "ledger": {"retiring": (retiring(OTHER, HOUR),)},
        "document": document(THIRD, version),
        "keys": (key(), key(THIRD)),
        "published_probe": ProbeResult.VALID,
        "versions": {number: document(PUBLISHED, number) for number in range(max(1, version - 10), version)},
        **changes,
    }
    return records(observe(**values)).ledger.retiring[0].revoke_after - NOW


def test_i2_a_key_in_grace_keeps_its_deadline_when_every_version_meanwhile_can_be_read_and_held_another_key() -> None:
    assert followed() == HOUR
    assert followed(13) == HOUR


@pytest.mark.parametrize(
    "lost",
    [
        {"versions": {3: document(PUBLISHED, 3), 4: document(None, 4, state=DocumentState.DELETED)}},
        {"versions": {3: document(OTHER, 3), 4: document(PUBLISHED, 4)}},
        {"versions": {3: document(PUBLISHED, 3, created_time=WRITTEN + DAY), 4: document(PUBLISHED, 4)}},
    ],
)
def test_i2_a_key_in_grace_gets_it_anew_when_it_cannot_be_told_what_consumers_read(lost: dict[str, Any]) -> None:
    assert followed(**lost) == DAY


def test_i2_a_key_in_grace_gets_it_anew_when_more_versions_were_written_than_vault_keeps() -> None:
    assert followed(14) == DAY


def test_r6_a_document_recreated_at_the_same_version_is_not_the_one_that_the_ledger_knows() -> None:
    assert decided(observe(document=document(created_time=WRITTEN + HOUR))) == ProbePublished()
    older = replace(CURRENT, written=None)
    assert waits(observe(ledger={"current": older}, document=document(created_time=WRITTEN + HOUR))).reason == "rotate"


def test_r6_a_document_without_a_ledger_is_taken_over_and_one_without_a_key_is_not() -> None:
    assert decided(observe(ledger=None)) == ProbePublished()
    step = records(observe(ledger=None, published_probe=ProbeResult.VALID))
    assert step.ledger == ledger(current=replace(CURRENT, purpose="made by hand"), history=step.ledger.history)
    assert [event.name for event in step.events] == ["application.adopted"]


# --- deletions ------------------------------------------------------------------------------------------------------------


def test_r8_a_condemned_key_is_deleted_and_one_that_was_is_proven_dead_with_its_version() -> None:
    changes = {"revoking": (revoking(),)}
    assert decided(observe(ledger=changes)) == DeleteKey(OTHER, "replaced")
    assert decided(observe(ledger=changes, deleted=frozenset({OTHER}))) == VerifyRevocation(OTHER, 2, emergency=False)


def test_r8_one_condemned_key_that_cannot_be_deleted_does_not_keep_the_next_waiting() -> None:
    changes = {"revoking": (revoking(), revoking(THIRD))}
    assert decided(observe(ledger=changes, undeletable={OTHER: "no"})) == DeleteKey(THIRD, "replaced")
    assert decided(observe(ledger=changes, deleted=frozenset({OTHER}))) == DeleteKey(THIRD, "replaced")
    assert decided(observe(ledger=changes, keys=(key(), key(OTHER, provider_managed=True)))) == DeleteKey(
        THIRD, "replaced"
    )


def test_r8_the_proof_of_one_death_does_not_wait_for_that_of_another() -> None:
    changes = {"revoking": (revoking(), revoking(THIRD))}
    both = observe(ledger=changes, deleted=frozenset({OTHER, THIRD}))
    assert decided(replace(both, still_valid=frozenset({OTHER}))) == VerifyRevocation(THIRD, 2, emergency=False)
    step = records(replace(both, revoked={OTHER: "refused"}))
    assert step.ledger.revoking == (revoking(THIRD),)


def test_r8_a_dead_key_stays_in_the_ledger_while_consumers_read_it() -> None:
    changes = {"revoking": (revoking(PUBLISHED, 3, "compromised"),), "compromised": (mark(PUBLISHED, "revoke_first"),)}
    observation = observe(
        ledger=changes, deleted=frozenset({PUBLISHED}), revoked={PUBLISHED: "refused"}, presence=Presence.GONE, keys=()
    )
    assert decided(observation) == CheckPreconditions(urgent=True)


def test_r8_a_republished_key_dies_when_its_new_grace_has_passed_by_clocks_that_agree() -> None:
    passed = observe(ledger={"revoking": (revoking(republished=True, not_before=NOW),)})
    assert decided(passed) == DeleteKey(OTHER, "replaced")
    assert isinstance(decided(replace(passed, clocks=clocks(vault=-SECOND))), Wait)
    assert isinstance(decided(replace(passed, clocks=clocks(vault=30 * SECOND))), DeleteKey), "they agree well enough"
    assert waits(replace(passed, clocks=clocks(vault=31 * SECOND))).reason == "clock_skew", "they do not: said"


def test_r9_a_compromised_key_that_was_republished_dies_at_once() -> None:
    changes = {"revoking": (revoking(republished=True, not_before=NOW + DAY),), "compromised": (mark(),)}
    assert decided(observe(ledger=changes)) == DeleteKey(OTHER, "compromised")


def test_i2_a_key_in_grace_is_condemned_when_its_deadline_has_passed_by_every_clock() -> None:
    observation = observe(ledger={"retiring": (retiring(OTHER, timedelta(0)),)}, keys=(key(), key(OTHER)))
    step = records(observation)
    assert step.ledger == ledger(revoking=(revoking(),))
    assert step.events == (Event("key.revocation_scheduled", {"access_key": OTHER, "reason": "grace ended"}),)
    assert isinstance(decided(replace(observation, clocks=clocks(vault=-SECOND))), Wait)


def test_i2_one_key_in_grace_that_cannot_go_does_not_keep_the_next_waiting() -> None:
    changes = {"retiring": (retiring(OTHER, timedelta(0)), retiring(THIRD, timedelta(0)))}
    provider_managed = observe(ledger=changes, keys=(key(), key(OTHER, provider_managed=True), key(THIRD)))
    assert records(provider_managed).ledger.revoking == (revoking(THIRD),)
    later = {"retiring": (retiring(OTHER), retiring(THIRD, timedelta(0)))}
    assert records(observe(ledger=later)).ledger.revoking == (revoking(THIRD),)


def test_i1_while_consumers_are_in_danger_a_key_in_grace_outlives_its_deadline() -> None:
    changes = {"retiring": (retiring(OTHER, -HOUR),), "compromised": (mark(PUBLISHED),), "not_before": NOW + MINUTE}
    assert waits(observe(ledger=changes, keys=(key(), key(OTHER)))).reason == "rotate"


# --- keys that nothing names ----------------------------------------------------------------------------------------------


def test_r7_a_leftover_is_condemned_and_told() -> None:
    observation = observe(keys=(key(), marked(OTHER, 2)))
    assert decided(observation) == ReadVersions(frozenset({2}))
    step = records(replace(observation, versions={2: document(THIRD, 2, created_time=WRITTEN - DAY)}))
    assert step.ledger == ledger(revoking=(revoking(OTHER, 0, "leftover"),))
    assert step.events == (
        Event("key.orphan_found", {"access_key": OTHER, "rotation_id": "e" * 16}),
        Event("key.revocation_scheduled", {"access_key": OTHER, "reason": "leftover"}),
    )


def test_r7_a_key_that_was_published_gets_its_grace_with_the_version_that_held_it() -> None:
    observation = observe(keys=(key(), marked(OTHER, 1)), versions={1: document(THIRD, 1), 2: document(OTHER, 2)})
    step = records(observation)
    assert step.ledger.retiring == (replace(retiring(OTHER, DAY), reason="published"),)
    assert step.events == (
        Event("key.grace_started", {"access_key": OTHER, "revoke_after": NOW + DAY, "reason": "published"}),
    )


def test_r7_a_key_of_which_nothing_can_be_told_gets_its_grace_without_a_version() -> None:
    observation = observe(keys=(key(), marked(OTHER, 2, fits=False)), versions={2: document(THIRD, 2)})
    assert records(observation).ledger.retiring == (replace(retiring(OTHER, DAY, 0), reason="assumed"),)


def test_r7_a_possible_leftover_does_not_keep_a_certain_one_waiting() -> None:
    versions = {2: document(FOURTH, 2, created_time=WRITTEN - DAY)}
    observation = observe(keys=(key(), marked(OTHER, 3), marked(THIRD, 2, "f" * 16)), versions=versions)
    assert records(observation).ledger.revoking == (revoking(THIRD, 0, "leftover"),)


def test_r7_a_held_application_leaves_leftovers_alone() -> None:
    versions = {2: document(THIRD, 2, created_time=WRITTEN - DAY)}
    observation = observe(
        keys=(key(), marked(OTHER, 2)),
        versions=versions,
        ledger={
            "hold": Hold("migration", "ops", NOW),
            "retiring": (retiring(THIRD, -HOUR),),
            "revoking": (revoking(FOURTH),),
        },
    )
    assert waits(observation).reason == "held"


def test_r11_what_an_empty_document_once_held_is_read_before_a_first_key_is_made() -> None:
    empty = document(None, secret=None)
    observation = observe(ledger=None, document=empty, presence=Presence.NOTHING, keys=(marked(OTHER, 1),))
    assert decided(observation) == ReadVersions(frozenset({1, 2}))
    read = replace(observation, versions={1: document(None, 1, secret=None), 2: document(OTHER, 2)})
    assert waits(read).reason == "document_emptied"
    unclear = replace(observation, versions={1: document(None, 1), 2: document(None, 2, state=DocumentState.DELETED)})
    assert waits(unclear).reason == "document_emptied"


def test_r11_a_document_that_never_held_our_key_gets_a_first_one_based_on_its_version() -> None:
    empty = document(None, secret=None)
    observation = observe(
        ledger=None, document=empty, presence=Presence.NOTHING, keys=(), preconditions=Preconditions((), None)
    )
    step = records(observation)
    assert step.ledger.intent is not None
    assert (step.ledger.intent.base, step.ledger.intent.reason, step.ledger.intent.mode) == (
        VERSION,
        "first key",
        RotationMode.SCHEDULED,
    )


def test_r11_a_possible_leftover_of_an_empty_document_is_no_sign_that_a_key_was_published() -> None:
    empty = document(None, secret=None)
    observation = observe(
        ledger=None,
        document=empty,
        presence=Presence.NOTHING,
        keys=(marked(OTHER, 3),),
        preconditions=Preconditions((), None),
    )
    assert isinstance(decided(observation), WriteLedger)


def test_r11_an_attempt_at_a_first_key_of_which_nothing_can_be_told_is_no_sign_either() -> None:
    empty = document(None, secret=None)
    lost = {1: document(None, 1, state=DocumentState.DELETED)}
    observation = observe(
        ledger=None, document=empty, presence=Presence.NOTHING, keys=(marked(OTHER, 0),), versions=lost
    )
    assert records(observation).ledger.retiring == (replace(retiring(OTHER, DAY, 0), reason="assumed"),)
    one = observe(
        ledger=None,
        document=empty,
        presence=Presence.NOTHING,
        keys=(marked(OTHER, 1),),
        versions={1: document(None, 1), 2: document(OTHER, 2)},
    )
    assert waits(one).reason == "document_emptied", "base 1 is above 0"


def test_a_document_that_changed_under_a_held_rotation_ends_it_before_anything_is_said() -> None:
    observation = holding(
        document=document(None, 4, secret=None),
        presence=Presence.NOTHING,
        in_flight=in_flight(posted=True, key=key(OTHER)),
    )
    assert records(observation).ledger.revoking == (revoking(OTHER, 0, "leftover"),)


# --- claims ---------------------------------------------------------------------------------------------------------------


def test_r2_a_claim_names_everything_that_the_marker_will_need() -> None:
    wanted = spec(
        grace=2 * DAY,
        verification=replace(spec().verification, successes=5),
        emergency_verification=replace(spec().verification, successes=7),
    )
    step = records(observe(**DUE, preconditions=ROOM), wanted)
    claimed = intent("daemon-1", id="5" * 16, claimed_at=NOW)
    assert step.ledger.intent == claimed
    assert (step.ledger.grace, step.ledger.verification, step.ledger.emergency_verification) == (
        2 * DAY,
        wanted.verification,
        wanted.emergency_verification,
    )
    assert step.events == (
        Event(
            "rotation.claimed", {"rotation_id": "5" * 16, "base": VERSION, "reason": "every 30d", "mode": "scheduled"}
        ),
    )


def test_r12_a_claim_that_replaces_another_says_whose() -> None:
    old = intent(claimed_at=NOW - 10 * MINUTE)
    step = records(observe(ledger={"intent": old}, preconditions=ROOM))
    assert step.ledger.intent == intent("daemon-1", id="5" * 16, claimed_at=NOW)
    assert step.events == (
        Event("rotation.taken_over", {"rotation_id": "d" * 16, "reason": "claimed by daemon-2"}),
        Event(
            "rotation.claimed", {"rotation_id": "5" * 16, "base": VERSION, "reason": "every 30d", "mode": "scheduled"}
        ),
    )


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({"intent": intent(claimed_at=NOW - 10 * MINUTE)}, True),
        ({"intent": intent(claimed_at=NOW - 10 * MINUTE + SECOND)}, False),
        ({"intent": intent("daemon-1")}, True),
        ({"intent": intent(claimed_at=NOW + 10 * MINUTE)}, False),
        ({"intent": intent(claimed_at=NOW + 10 * MINUTE + SECOND)}, True),
    ],
)
def test_r12_a_claim_is_taken_over_after_its_time_at_once_if_it_was_ours_and_when_it_comes_from_the_future(
    changes: dict[str, Any], over: bool
) -> None:
    step = decided(observe(ledger=changes))
    assert (step == CheckPreconditions()) == over


def test_r12_a_claim_of_a_process_that_is_gone_is_taken_over_at_once() -> None:
    assert decided(observe(ledger={"intent": intent()}, owner_gone=True)) == CheckPreconditions()


@pytest.mark.parametrize(
    ("mode", "since", "over"),
    [
        (RotationMode.SCHEDULED, timedelta(0), True),
        (RotationMode.COMPROMISED, 65 * SECOND, True),
        (RotationMode.COMPROMISED, 64 * SECOND, False),
        (RotationMode.RECOVERY, 64 * SECOND, False),
    ],
)
def test_r9_an_emergency_takes_an_ordinary_claim_over_at_once_and_an_urgent_one_after_its_proof(
    mode: RotationMode, since: timedelta, over: bool
) -> None:
    changes = {"compromised": (mark(PUBLISHED),), "intent": intent(mode=mode, claimed_at=NOW - since)}
    step = decided(observe(ledger=changes))
    assert (step == CheckPreconditions(urgent=True)) == over
    if not over:
        assert isinstance(step, Wait)
        assert replace(step, next=None) == Wait(NOW + SECOND, "takeover", "rotation dddddddddddddddd is under way")


def test_r12_a_dead_published_key_does_not_let_an_ordinary_claim_be_taken_over_at_once() -> None:
    observation = observe(
        presence=Presence.GONE,
        keys=(),
        published_probe=ProbeResult.REJECTED,
        ledger={"intent": intent(claimed_at=NOW - 64 * SECOND)},
    )
    assert waits(observation).until == NOW + SECOND
    quick = spec(stale_claim_timeout=30 * SECOND)
    assert decided(
        replace(observation, ledger=ledger(intent=intent(claimed_at=NOW - 30 * SECOND))), quick
    ) == CheckPreconditions(urgent=True)


def test_r12_an_urgent_claim_that_nothing_asks_for_any_more_is_dropped_and_told() -> None:
    step = records(observe(ledger={"intent": intent(mode=RotationMode.RECOVERY, claimed_at=NOW - DAY), "failures": 2}))
    assert step.ledger == ledger(failures=2)
    assert step.events == (
        Event(
            "rotation.abandoned",
            {"rotation_id": "d" * 16, "reason": "stale", "message": "nothing asks for it any more"},
        ),
    )


def test_an_emergency_that_waits_drops_no_claim() -> None:
    changes = {
        "compromised": (mark(PUBLISHED),),
        "intent": intent(mode=RotationMode.COMPROMISED, claimed_at=NOW - DAY),
        "not_before": NOW + SECOND,
        "failures": 1,
    }
    assert waits(observe(ledger=changes)).reason == "takeover"


def test_a_request_is_granted_until_another_key_is_published() -> None:
    request = RotationRequest("asked", PUBLISHED)
    step = records(observe(request=request, preconditions=ROOM))
    assert step.ledger.intent is not None
    assert (step.ledger.intent.mode, step.ledger.intent.reason) == (RotationMode.REQUESTED, "asked")
    assert isinstance(decided(observe(request=RotationRequest("asked", OTHER), preconditions=ROOM)), Wait)


def test_a_request_does_not_wait_for_patience_and_the_schedule_does() -> None:
    failed = {"not_before": NOW + HOUR, "failures": 1}
    assert decided(observe(request=RotationRequest("asked", PUBLISHED), ledger=failed)) == CheckPreconditions()
    due = {**DUE["ledger"], **failed}
    assert isinstance(decided(observe(ledger=due)), Wait)


def test_the_schedule_waits_until_every_clock_says_that_it_is_time() -> None:
    assert decided(observe(**DUE)) == CheckPreconditions()
    assert isinstance(decided(observe(**DUE, clocks=clocks(vault=-SECOND))), Wait)


def test_a_request_may_have_more_live_keys_than_the_schedule() -> None:
    three = {
        "keys": (key(), key(OTHER), key(THIRD)),
        "ledger": {"retiring": (retiring(OTHER, 7 * HOUR), retiring(THIRD, 7 * HOUR))},
    }
    assert decided(observe(**three, request=RotationRequest("asked", PUBLISHED))) == CheckPreconditions()
    assert (
        waits(observe(**three, request=RotationRequest("asked", PUBLISHED)), spec(max_live_keys=3)).reason
        == "too_many_keys"
    )


def test_keys_of_strangers_do_not_count_as_ours() -> None:
    assert decided(observe(**{**DUE, "keys": (*DUE["keys"], key(OTHER), key(THIRD))})) == CheckPreconditions()


def test_a_possible_leftover_is_fenced_off_when_there_are_too_many_keys_or_no_room() -> None:
    crowded = observe(
        **{
            **DUE,
            "ledger": {**DUE["ledger"], "retiring": (retiring(THIRD, 7 * HOUR),)},
            "keys": (key(), marked(OTHER), key(THIRD)),
        }
    )
    assert decided(crowded) == FenceDocument()
    full = observe(**{**DUE, "keys": (key(), marked(OTHER))}, preconditions=Preconditions((), 0))
    assert decided(full) == FenceDocument()
    roomy = replace(full, preconditions=Preconditions((), 1))
    assert isinstance(records(roomy).ledger.intent, type(intent()))


def test_i4_a_possible_leftover_is_fenced_off_where_no_rotation_is_wanted() -> None:
    left = {"keys": (key(), marked(OTHER, created_at=NOW - spec().stale_claim_timeout))}
    assert decided(observe(**left)) == FenceDocument()
    assert isinstance(decided(observe(keys=(key(), key(OTHER, created_at=NOW - DAY)))), Wait), (
        "of a stranger's key nothing is known"
    )
    assert isinstance(decided(observe(**left), spec(configured=False)), Wait), "the document of others is left alone"
    assert isinstance(decided(observe(**left, ledger={"hold": Hold("audit", "mia", NOW)})), Wait)
    assert isinstance(decided(observe(**left, ledger={"intent": intent("daemon-2")})), Wait), "somebody is at it"
    assert isinstance(
        records(observe(**left, request=RotationRequest("asked", PUBLISHED), preconditions=ROOM)).ledger.intent, Intent
    )


def test_i4_no_rotation_that_may_be_under_way_is_fenced_off() -> None:
    """The ledger was read before the list of keys, so the claim for the newest of them may not have been seen."""
    born = NOW - spec().stale_claim_timeout + MINUTE
    step = decided(
        observe(
            keys=(key(), marked(OTHER, created_at=NOW), marked(THIRD, created_at=born)), clocks=clocks(vault=-SECOND)
        )
    )
    assert isinstance(step, Wait)
    assert (step.until, step.reason) == (NOW + MINUTE + SECOND, "fence")
    assert step.message == "a failed rotation may have left a key behind"


def test_i4_who_tries_again_soon_needs_no_fence() -> None:
    left = {"keys": (key(), marked(OTHER, created_at=NOW - DAY))}
    tried = {"failures": 1, "not_before": NOW + MINUTE}
    step = decided(observe(**left, ledger=tried))
    assert isinstance(step, Wait)
    assert (step.until, step.reason) == (NOW + MINUTE, "fence")
    step = decided(
        observe(**left, ledger={**tried, "revoking": (revoking(PUBLISHED, republished=True, not_before=NOW + DAY),)})
    )
    assert isinstance(step, Wait)
    assert step.reason == "rotate", "the emergency moves it on"


def test_a_provider_that_tells_no_head_room_is_believed_until_it_refused_for_want_of_it() -> None:
    silent = observe(**{**DUE, "keys": (key(), marked(OTHER))}, preconditions=Preconditions((), None))
    assert isinstance(decided(silent), WriteLedger)
    refused = {**DUE["ledger"], "problem": Problem("quota", "no room", NOW - DAY), "failures": 1}
    full = observe(ledger=refused, keys=(key(), marked(OTHER)), preconditions=Preconditions((), None))
    assert decided(full) == FenceDocument()
    other = {**refused, "problem": Problem("lost", "no answer", NOW - DAY)}
    assert isinstance(
        decided(observe(ledger=other, keys=(key(), marked(OTHER)), preconditions=Preconditions((), None))), WriteLedger
    )
    empty = observe(ledger=refused, preconditions=Preconditions((), None))
    assert isinstance(decided(empty), WriteLedger), "nothing to fence off: try again"


def test_an_emergency_fences_possible_leftovers_off_before_they_fill_the_account() -> None:
    changes = {"compromised": (mark(PUBLISHED),)}
    two = observe(ledger=changes, keys=(key(), marked(OTHER)))
    assert decided(two, spec(max_live_keys=2)) == FenceDocument()
    assert decided(two, spec(max_live_keys=3)) == CheckPreconditions(urgent=True)
    without = observe(ledger={**changes, "retiring": (retiring(OTHER, 7 * HOUR),)}, keys=(key(), key(OTHER)))
    assert decided(without, spec(max_live_keys=2)) == CheckPreconditions(urgent=True)


def test_a_crowd_waits_for_the_next_grace_to_end_that_has_not_ended() -> None:
    problem = Problem("too_many_keys", "", NOW)
    changes = {
        "current": replace(CURRENT, created_at=NOW - 31 * DAY),
        "problem": problem,
        "retiring": (retiring(OTHER, 3 * HOUR), retiring(THIRD, 2 * HOUR)),
    }
    crowd = observe(
        ledger=changes, keys=(key(), key(OTHER), key(THIRD)), clocks=clocks(vault=-SECOND, provider=-10 * SECOND)
    )
    assert waits(crowd).until == NOW + 2 * HOUR + 10 * SECOND


def test_a_crowd_does_not_wait_for_a_grace_that_has_ended_while_its_key_cannot_go() -> None:
    changes = {
        "current": replace(CURRENT, created_at=NOW - 31 * DAY),
        "problem": Problem("too_many_keys", "", NOW),
        "retiring": (retiring(OTHER, timedelta(0)), retiring(THIRD, 2 * HOUR)),
    }
    crowd = observe(ledger=changes, keys=(key(), key(OTHER, provider_managed=True), key(THIRD)))
    assert waits(crowd).until == NOW + 2 * HOUR
    alone = replace(ledger(**changes), retiring=(retiring(OTHER, timedelta(0)),))
    possible = observe(
        ledger=alone, keys=(key(), key(OTHER, provider_managed=True)), request=RotationRequest("asked", PUBLISHED)
    )
    assert waits(possible, spec(max_live_keys=2)).until == NOW + 30 * SECOND


def test_an_emergency_lets_keys_that_can_go_go_first_when_there_are_too_many() -> None:
    going = {"compromised": (mark(PUBLISHED),), "revoking": (revoking(),)}
    crowd = observe(ledger=going, keys=(key(), key(OTHER)))
    two = spec(max_live_keys=2)
    assert decided(crowd, two) == DeleteKey(OTHER, "replaced")
    assert decided(crowd, spec(max_live_keys=3)) == CheckPreconditions(urgent=True)
    assert decided(replace(crowd, undeletable={OTHER: "no"}), two) == CheckPreconditions(urgent=True)
    leftover = observe(
        ledger={"compromised": (mark(PUBLISHED),)},
        keys=(key(), marked(OTHER, 2)),
        versions={2: document(THIRD, 2, created_time=WRITTEN - DAY)},
    )
    assert records(leftover, two).ledger.revoking == (revoking(OTHER, 0, "leftover"),)
    assert decided(replace(leftover, versions={}), two) == ReadVersions(frozenset({2}))


def test_a_condemned_key_that_is_gone_already_makes_no_room() -> None:
    changes = {"compromised": (mark(PUBLISHED),), "revoking": (revoking(),), "retiring": (retiring(THIRD),)}
    assert decided(observe(ledger=changes, keys=(key(), key(THIRD))), spec(max_live_keys=2)) == CheckPreconditions(
        urgent=True
    )


HELD = {"hold": Hold("migration", "ops", NOW)}


def through(name: str = OTHER, mode: str = "replace_first") -> CompromisedKey:
    """The mark of an emergency that goes through a hold."""
    return replace(mark(name, mode), override_hold=True)


def test_an_emergency_that_goes_through_a_hold_claims() -> None:
    assert decided(observe(ledger={"compromised": (through(PUBLISHED),), **HELD})) == CheckPreconditions(urgent=True)


def test_an_emergency_that_goes_through_a_hold_condemns_and_deletes_what_was_named_and_nothing_else() -> None:
    two = {"compromised": (mark(THIRD), through()), **HELD}
    step = records(observe(ledger=two, fence=Fence(VERSION, frozenset({OTHER, THIRD}))))
    assert step.ledger.revoking == (revoking(OTHER, 0, "compromised"),)
    condemned = {**two, "revoking": (revoking(THIRD), revoking(reason="compromised"))}
    assert decided(observe(ledger=condemned)) == DeleteKey(OTHER, "compromised")
    assert (
        waits(observe(ledger={**condemned, "revoking": (revoking(THIRD),), "compromised": (mark(THIRD),)})).reason
        == "held"
    )


def test_a_hold_spares_the_published_key_when_only_another_ones_mark_goes_through() -> None:
    changes = {"compromised": (mark(PUBLISHED), through()), "revoking": (revoking(reason="compromised"),), **HELD}
    assert decided(observe(ledger=changes, deleted=frozenset({OTHER}))) == VerifyRevocation(OTHER, 2, emergency=True)


def test_under_a_hold_no_emergency_waits_for_room_that_nothing_may_make() -> None:
    changes = {"compromised": (through(PUBLISHED),), "revoking": (revoking(),), **HELD}
    observation = observe(ledger=changes, keys=(key(), key(OTHER)))
    assert decided(observation, spec(max_live_keys=2)) == CheckPreconditions(urgent=True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (NOW + MINUTE, "takeover")),
        ({"intent": None}, (NOW + timedelta(milliseconds=200), "contain")),
        ({"intent": None, "failures": 1, "not_before": NOW + SECOND}, (NOW + SECOND, "contain")),
        ({"not_before": NOW + 2 * MINUTE, "failures": 1}, (NOW + 2 * MINUTE, "takeover")),
        ({"intent": intent(claimed_at=NOW - HOUR)}, (NOW + timedelta(milliseconds=200), "takeover")),
    ],
)
def test_an_emergency_that_goes_through_a_hold_is_looked_at_when_there_is_something_to_do(
    changes: dict[str, Any], expected: tuple[datetime, str]
) -> None:
    emergency = {
        "compromised": (through(PUBLISHED),),
        "intent": intent(mode=RotationMode.COMPROMISED, claimed_at=NOW),
        **HELD,
    }
    published_probe = VerificationPolicy(2, SECOND, MINUTE - TAKEOVER_MARGIN)
    marked_ledger = ledger(**{**emergency, **changes})
    held = ApplicationState(spec(emergency_verification=published_probe), observe(ledger=marked_ledger))
    assert next_action(held) == NextAction(*expected, "an emergency goes through the hold")


@pytest.mark.parametrize("on_hold", [True, False])
def test_a_held_application_claims_nothing_in_an_emergency_either(on_hold: bool) -> None:
    changes = {"compromised": (mark(PUBLISHED),), "hold": Hold("migration", "ops", NOW) if on_hold else None}
    step = decided(observe(ledger=changes))
    assert (step == CheckPreconditions(urgent=True)) != on_hold


def test_the_reason_of_an_emergency_is_that_of_the_mark() -> None:
    step = records(
        observe(
            ledger={"compromised": (replace(mark(OTHER), reason="x"), mark(PUBLISHED)), "revoking": (revoking(),)},
            keys=(key(),),
            deleted=frozenset({OTHER}),
            preconditions=Preconditions(),
        )
    )
    assert step.ledger.intent is not None
    assert (step.ledger.intent.mode, step.ledger.intent.reason) == (RotationMode.COMPROMISED, "leaked")


def test_c10_what_is_late_waits_for_its_turn_unless_an_attempt_was_begun_already() -> None:
    spread = spec(startup_spread=HOUR, resync_interval=HOUR)
    late = {"current": replace(CURRENT, created_at=NOW - 31 * DAY)}
    later = waits(observe(ledger=late), spread)
    assert NOW + SECOND < later.until < NOW + HOUR
    assert later.reason == "rotate"
    assert decided(observe(ledger=late), spec()) == CheckPreconditions(urgent=False)
    stopped = Problem("quota", "no room", NOW - MINUTE)
    assert decided(observe(ledger={**late, "problem": stopped}), spread) == CheckPreconditions(urgent=False)
    assert decided(observe(ledger={**late, "failures": 1}), spread) == CheckPreconditions(urgent=False)


def test_the_schedule_is_asked_with_the_earliest_clock() -> None:
    late = {"current": replace(CURRENT, created_at=NOW - 30 * DAY - 22 * HOUR)}
    nights = spec(window=MaintenanceWindow(frozenset(range(7)), 60, 180))
    assert waits(observe(ledger=late), nights) == Wait(NOW + HOUR, "rotate", "every 30d"), "its window has passed"


def test_nothing_is_rotated_for_an_application_that_left_the_configuration_however_late_it_is() -> None:
    assert waits(observe(**DUE, preconditions=ROOM), spec(configured=False)).reason == "observe"


def test_the_next_action_follows_from_the_ledger_that_was_observed() -> None:
    emergency = observe(ledger={"compromised": (mark(PUBLISHED),), "not_before": NOW + MINUTE})
    expected = NextAction(NOW + MINUTE, "rotate", "consumers need another key")
    assert next_action(ApplicationState(spec(), emergency)) == expected
    leapt = observe(ledger={"current": replace(CURRENT, created_at=NOW - 31 * DAY), "not_before": NOW + 3 * HOUR})
    expected = NextAction(NOW + timedelta(milliseconds=200), "rotate", "every 30d")
    assert next_action(ApplicationState(spec(), leapt)) == expected


def test_each_step_to_wait_carries_the_next_action() -> None:
    """Nothing has to be decided a second time to tell what comes next, whether a problem stops the application or not."""
    step = decided(observe(), spec(resync_interval=HOUR))
    assert isinstance(step, Wait)
    assert (step.until, step.next) == (NOW + HOUR, NextAction(BORN + 30 * DAY, "rotate", "every 30d"))
    undeletable = observe(ledger={"revoking": (revoking(),)}, keys=(key(), key(OTHER)), undeletable={OTHER: "no"})
    step = decided(replace(undeletable, request=RotationRequest("asked for", OTHER)))
    assert isinstance(step, Wait)
    assert step.problem is not None
    assert step.next == NextAction(NOW + 30 * SECOND, "revoke", "SCWOTHER is scheduled for revocation")


def test_r3_while_a_condemned_key_is_published_the_project_is_still_that_of_the_current_one() -> None:
    changes = {"revoking": (revoking(OTHER, republished=True),), "intent": intent("daemon-1", base=4)}
    keys = (key(default_project_id="p1"), key(OTHER, default_project_id="p2"))
    step = decided(
        observe(
            ledger=changes,
            document=document(OTHER, 4),
            keys=keys,
            in_flight=InFlightRotation(intent("daemon-1", base=4)),
        )
    )
    assert isinstance(step, CreateKey)
    assert step.default_project_id == "p1"


def just_proven(version: int, **changes: Any) -> Observation:
    """This process has published its new key as that version of the document."""
    published = document(OTHER, version)
    made = key(OTHER, created_at=NOW - MINUTE)
    rotation = in_flight(posted=True, key=made, secret=published.secret, verified=True, publish_sent=True)
    return observe(**{"document": published, "keys": (key(), made), "in_flight": rotation, **changes})


def test_i7_what_this_process_wrote_upon_the_version_that_the_ledger_knows_needs_no_look_back() -> None:
    grace = (retiring(THIRD, HOUR),)
    step = records(just_proven(4, ledger={"retiring": grace}))
    assert step.ledger.retiring[0] == retiring(THIRD, HOUR)
    assert decided(just_proven(5, ledger={"retiring": grace})) == ReadVersions(frozenset({4}))


def test_i2_without_a_current_key_every_version_is_one_that_nobody_followed() -> None:
    lost = {"current": None, "retiring": (retiring(THIRD, HOUR),)}
    assert decided(just_proven(2, ledger=lost)) == ReadVersions(frozenset({1}))
    assert decided(observe(ledger=lost, published_probe=ProbeResult.VALID)) == ReadVersions(frozenset({1, 2}))


def test_r6_a_key_that_this_process_made_is_known_also_when_the_provider_does_not_show_it_yet() -> None:
    step = records(just_proven(4, keys=(key(),), presence=Presence.GONE))
    assert step.ledger.current is not None
    assert step.ledger.current.created_at == NOW - MINUTE


def test_r7_a_key_is_no_certain_leftover_when_its_base_cannot_be_read_or_does_not_exist() -> None:
    successor = {3: document(THIRD, 3)}
    assert (
        classify(OTHER, marker(2), path=PATH, document=document(version=4), versions=successor) is Disposition.ASSUMED
    )
    assert (
        classify(OTHER, marker(0), path=PATH, document=document(), versions={1: document(THIRD, 1)})
        is Disposition.ASSUMED
    )
    unknown = {2: document(THIRD, 2, created_time=None), **successor}
    assert classify(OTHER, marker(2), path=PATH, document=document(version=4), versions=unknown) is Disposition.ASSUMED


def test_r7_the_versions_that_tell_are_the_base_and_the_one_after_it_as_far_as_they_exist_and_are_not_known() -> None:
    wanted = wanted_versions([marker(0), marker(2), marker(5), marker(6), marker(7)], document(version=6))
    assert wanted == {1, 2, 3, 5}


def test_a_deleted_document_publishes_nothing() -> None:
    assert document(state=DocumentState.DELETED).published is None
    assert document().published == PUBLISHED


def test_r7_a_document_can_be_fenced_when_all_that_it_holds_is_known_or_when_it_never_was() -> None:
    assert document().can_be_fenced
    assert document(None, secret=None).can_be_fenced
    assert ABSENT.can_be_fenced
    pruned = CredentialDocument(3, DocumentState.ABSENT)
    for other in (
        pruned,
        document(secret=None),
        document(None),
        document(None, secret=None, state=DocumentState.DELETED),
    ):
        assert not other.can_be_fenced


def test_r13_the_earliest_and_the_latest_clock_may_be_ours() -> None:
    ahead, behind = clocks(vault=SECOND, provider=2 * SECOND), clocks(vault=-SECOND, provider=-2 * SECOND)
    assert (ahead.earliest, ahead.latest, ahead.spread) == (NOW, NOW + 2 * SECOND, 2 * SECOND)
    assert (behind.earliest, behind.latest, behind.spread) == (NOW - 2 * SECOND, NOW, 2 * SECOND)


def test_a_key_whose_deletion_was_confirmed_is_no_longer_seen() -> None:
    less = observe(keys=(key(), key(OTHER)), deleted=frozenset({THIRD})).without_key(OTHER)
    assert less == observe(keys=(key(),), deleted=frozenset({OTHER, THIRD}))


def test_r7_an_incarnation_tells_documents_apart_and_is_the_same_at_every_time_and_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert incarnation_of(PATH, None) == "-"
    assert incarnation_of(PATH, WRITTEN) == KNOWN
    assert incarnation_of(PATH, WRITTEN + timedelta(microseconds=1)) != KNOWN
    assert incarnation_of("secret/other", WRITTEN) != KNOWN
    assert incarnation_of(PATH, WRITTEN.astimezone(timezone(5 * HOUR))) == KNOWN
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert incarnation_of(PATH, WRITTEN) == KNOWN
    finally:
        monkeypatch.undo()
        time.tzset()


def test_b_a_bearer_that_is_gone_stops_the_application_when_nothing_else_is_to_be_done() -> None:
    (event,) = records(observe(bearer_observed=False)).events
    assert (event.name, event.fields["reason"]) == ("application.blocked", "bearer_gone")


def test_a_fence_that_is_refused_is_not_asked_for_again_in_this_pass() -> None:
    refused: dict[str, Any] = {"fence_refused": True}
    pending = (key(), marked(OTHER, created_at=NOW - spec().stale_claim_timeout))
    assert isinstance(decided(observe(keys=pending, **refused)), Wait)
    full = observe(**{**DUE, "keys": (key(), marked(OTHER))}, preconditions=Preconditions((), 0), **refused)
    assert records(full).ledger.problem == Problem(Reason.QUOTA, problem_of(full), NOW)
    expiring = document(expires_at=NOW + DAY)
    assert not isinstance(decided(observe(document=expiring, **refused)), FenceDocument)


def test_an_emergency_does_not_wait_for_a_fence_that_is_refused() -> None:
    two = observe(ledger={"compromised": (mark(PUBLISHED),)}, keys=(key(), marked(OTHER)), fence_refused=True)
    assert decided(two, spec(max_live_keys=2)) == CheckPreconditions(urgent=True)


def problem_of(observation: Observation) -> str:
    found = records(observation).ledger.problem
    assert found is not None
    return found.message
