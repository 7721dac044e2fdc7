"""The queries: what each answers about a world, in the words that a person reads and as machines get it.

`python -m tests.operations.queries.test_transcripts` writes the transcripts anew after a change that is meant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.ledger import CompromisedKey, Hold, Incident, Problem, RevokingKey
from rotator.errors import PermissionDenied, Rejected, TooManyKeys, Unavailable
from tests.operations.transcript import NEW, NEXT, OLD, Daemon, Scenarios, Stage, told
from tests.operations.worlds import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    adopted,
    failing,
    ledger,
    mailer,
    removed,
    renamed,
    rotated,
    stray,
    untracked,
)
from tests.support.simulated import EPOCH, PATH, Actor, Killed, SimProvider

DENIED = PermissionDenied("the policy denies it", service="vault", kind="policy", path="secret/x", capability="read")
ERRORS = Unavailable("500", service="acme", kind="server_error")

plan = Scenarios("plan")
status = Scenarios("status")
history = Scenarios("history")
lookup = Scenarios("lookup")
doctor = Scenarios("doctor")


def damaged(stage: Stage, name: str = "mailer") -> None:
    """The ledger of that application is of a later version."""
    stage.sim.append(f"ledger:{name}", {"schema": 99})


def killed(stage: Stage, daemon: Actor, effect: str, phase: str = "after") -> None:
    """The daemon's process ends at that call of a rotation."""

    def hook(name: str, when: str) -> None:
        if (name, when) == (effect, phase):
            raise Killed

    stage.sim.hook = hook
    stage.sim.time.advance(31 * DAY)
    with pytest.raises(Killed):
        daemon.run()
    stage.sim.hook = lambda name, phase: None
    daemon.restart()


# --- plan -------------------------------------------------------------------------------------------------------------


def planned(stage: Stage, *names: str) -> None:
    """The plan, which writes nothing and makes no key."""
    before = {where: len(versions) for where, versions in stage.sim.kv.items()}, stage.sim.live_keys()
    stage.run("plan", applications=list(names))
    after = {where: len(versions) for where, versions in stage.sim.kv.items()}, stage.sim.live_keys()
    assert after == before


@plan.scenario("an application at rest is rotated when its key is as old as the policy says")
def _(stage: Stage) -> None:
    adopted(stage)
    planned(stage)


@plan.scenario("an application without a key gets its first one")
def _(stage: Stage) -> None:
    planned(stage)


@plan.scenario("an installation without an id is not given one by a plan")
def _(stage: Stage) -> None:
    stage.sim.installation = ""
    planned(stage)
    assert stage.sim.installation == ""


@plan.scenario("an overdue rotation is the next action")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.time.advance(31 * DAY)
    planned(stage)


@plan.scenario("a key that consumers use is adopted")
def _(stage: Stage) -> None:
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key)
    planned(stage)


@plan.scenario("a key that another writer published is followed, and the former one gets its grace")
def _(stage: Stage) -> None:
    adopted(stage)
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key)
    planned(stage)


@plan.scenario("a document that was written again with the same key is noted")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.publish_by_hand(OLD)
    planned(stage)


@plan.scenario("a key in grace is revoked when its grace ends")
def _(stage: Stage) -> None:
    rotated(stage)
    planned(stage)


@plan.scenario("a key whose grace is over is revoked now")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.sim.time.advance(DAY)
    planned(stage)


@plan.scenario("a key that is scheduled for revocation is deleted")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"),))
    planned(stage)


@plan.scenario("a key that was scheduled for revocation and is published again is replaced")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"),))
    stage.sim.publish_by_hand(OLD)
    planned(stage)


@plan.scenario("a key that an earlier process left behind is fenced when no process can publish it any more")
def _(stage: Stage) -> None:
    adopted(stage)
    untracked(stage)
    planned(stage)
    stage.sim.time.advance(10 * MINUTE)
    planned(stage)


@plan.scenario("a rotation of another process is waited for")
def _(stage: Stage) -> None:
    daemon = adopted(stage)
    killed(stage, daemon, "create_key")
    planned(stage)


@plan.scenario("a rotation that another process published is committed")
def _(stage: Stage) -> None:
    daemon = adopted(stage)
    killed(stage, daemon, "write_document")
    stage.sim.time.advance(DAY)
    planned(stage)


@plan.scenario("a rotation that was claimed long ago is taken over")
def _(stage: Stage) -> None:
    daemon = adopted(stage)
    killed(stage, daemon, "create_key", "before")
    stage.sim.time.advance(DAY)
    planned(stage)


@plan.scenario("a rotation that was claimed on another version of the document is abandoned")
def _(stage: Stage) -> None:
    daemon = adopted(stage)
    killed(stage, daemon, "create_key", "before")
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key)
    planned(stage)


@plan.scenario("a hold puts everything off")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH))
    planned(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH, EPOCH + DAY))
    planned(stage)


@plan.scenario("an emergency comes first")
def _(stage: Stage) -> None:
    adopted(stage)
    found = stage.sim.ledger()
    marked = mark_compromised(
        found, {OLD}, reason="leaked", by="ann", at=EPOCH, incident="i1", mode="replace_first", override_hold=False
    )
    ledger(stage, compromised=marked.compromised, incidents=marked.incidents)
    planned(stage)


@plan.scenario("a quota without room blocks a rotation and is warned of")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.quota = 1
    planned(stage)
    stage.sim.time.advance(31 * DAY)
    planned(stage)


@plan.scenario("a quota with room for one key is warned of, and one with room for two is not")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.quota = 2
    planned(stage)
    stage.sim.quota = 3
    planned(stage)


@plan.scenario("a policy that lacks a right is warned of")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.lacking = ("update", "create")
    planned(stage)


@plan.scenario("unmanaged keys are warned of")
def _(stage: Stage) -> None:
    adopted(stage)
    stray(stage)
    planned(stage)
    stray(stage)
    planned(stage)


@plan.scenario("clocks that differ are warned of")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.time.skew_vault = 30 * SECOND
    planned(stage)
    stage.sim.time.skew_vault = 31 * SECOND
    planned(stage)


@plan.scenario("a document that keeps few versions is warned of")
def _(stage: Stage) -> None:
    adopted(stage)
    for kept in (3, 2, 1):
        stage.desk.kept = kept
        planned(stage)


@plan.scenario("a document whose limits cannot be read is warned of")
def _(stage: Stage) -> None:
    adopted(stage)

    def change(app: Any) -> None:
        def denied(path: str) -> int:
            raise DENIED

        app.vault.document_limits = denied

    stage.app = change
    planned(stage)


@plan.scenario("a document that Vault deletes is warned of")
def _(stage: Stage) -> None:
    adopted(stage)

    def change(app: Any) -> None:
        read = app.vault.read_document
        app.vault.read_document = lambda *location: replace(read(*location), expires_at=EPOCH + DAY)

    stage.app = change
    planned(stage)


@plan.scenario("of two applications one cannot be planned, and an unknown one is refused")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    damaged(stage)
    planned(stage)
    planned(stage, "mailer")
    planned(stage, "biling")


@plan.scenario("an application that left the configuration finishes its revocations")
def _(stage: Stage) -> None:
    rotated(stage)
    removed(stage)
    planned(stage, "billing")


@plan.scenario("an application with another name takes the ledger of the earlier one over")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    planned(stage)


@plan.scenario("a Vault that is sealed has no plan")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.sealed = True
    planned(stage)


# --- status -----------------------------------------------------------------------------------------------------------


def states(stage: Stage) -> None:
    rotated(stage)
    mailer(stage)


@status.scenario("each application has a state, also one without a ledger")
def _(stage: Stage) -> None:
    states(stage)
    stage.run("status")
    stage.run("status", applications=["mailer", "mailer"])
    stage.run("status", applications=["biling"])


@status.scenario("an application that left the configuration is shown among all, and by its name")
def _(stage: Stage) -> None:
    states(stage)
    removed(stage)
    stage.run("status")
    stage.run("status", applications=["billing"])


@status.scenario("an earlier name of an application is not shown")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    stage.run("status")


@status.scenario("a damaged ledger is part of the answer, and a missing right is a failure of it")
def _(stage: Stage) -> None:
    states(stage)
    damaged(stage)
    stage.run("status")
    failing(stage, "read_ledger", DENIED)
    stage.run("status")


@status.scenario("ledgers of removed applications that cannot be read are remarked on")
def _(stage: Stage) -> None:
    states(stage)

    def stuck(app: Any) -> None:
        def removed_applications(sink: Any = None) -> dict[str, Any]:
            sink.emit(
                "daemon.removed_application_stuck",
                application="omega",
                account="acme",
                message="its ledger is damaged",
                kind="damaged",
            )
            sink.emit("pass.failed", application="omega", account="acme", reason="x", message="not a remark")
            return {}

        app.removed_applications = removed_applications

    stage.app = stuck
    stage.run("status")


@status.scenario("removed applications that cannot be listed are remarked on, unless Vault is away")
def _(stage: Stage) -> None:
    states(stage)

    def change(error: Exception) -> Any:
        def fails(app: Any) -> None:
            def removed_applications(sink: Any = None) -> dict[str, Any]:
                raise error

            app.removed_applications = removed_applications

        return fails

    stage.app = change(DENIED)
    stage.run("status")
    stage.app = change(Unavailable("Vault is away", service="vault", kind="unreachable"))
    stage.run("status")


@status.scenario("a daemon adds what its passes saw")
def _(stage: Stage) -> None:
    states(stage)
    stage.daemon = Daemon(problems={"mailer": Problem("quota", "no room", EPOCH)})
    stage.run("status")


@status.scenario("a sealed Vault has no status")
def _(stage: Stage) -> None:
    states(stage)
    stage.sim.sealed = True
    stage.run("status")


# --- history ----------------------------------------------------------------------------------------------------------


@history.scenario("the history of an application has its rotations, and what other writers did to the document")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.sim.publish_by_hand(NEW)
    stage.sim.time.advance(HOUR)
    stage.sim.publish_by_hand(NEW)
    stage.sim.kv["doc:" + PATH][-1].deleted = True
    stage.run("history", application="billing")


@history.scenario("an emergency and its end are part of the history")
def _(stage: Stage) -> None:
    adopted(stage)
    incident = Incident("i1", EPOCH + MINUTE, "leaked", "ann@desk", (OLD, NEW), EPOCH + HOUR)
    ledger(stage, incidents=(incident, Incident("i2", EPOCH + 2 * HOUR, "again", "bob@desk", (NEXT,))))
    stage.run("history", application="billing")


@history.scenario("versions that may not be listed are left out with the reason")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "list_versions", DENIED)
    stage.run("history", application="billing")
    stage.run("history", application="biling")


@history.scenario("an application of which nothing is known has no history")
def _(stage: Stage) -> None:
    stage.run("history", application="billing")
    failing(stage, "list_versions", DENIED)
    stage.run("history", application="billing")
    failing(stage, "list_versions", ERRORS)
    stage.run("history", application="billing")


@history.scenario("a document without a ledger has the history of its versions")
def _(stage: Stage) -> None:
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key)
    stage.run("history", application="billing")


@history.scenario(
    "an application that left the configuration keeps its history, and a new name has that of the earlier one"
)
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    stage.run("history", application="payments")
    stage.run("history", application="billing")


# --- lookup -----------------------------------------------------------------------------------------------------------


@lookup.scenario("a key is described with its application, its state and what a revocation would break")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("lookup", access_keys=[NEW, OLD, NEW])


@lookup.scenario("a key in grace whose time is over has no rest")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.sim.time.advance(2 * DAY)
    stage.run("lookup", access_keys=[OLD])


@lookup.scenario("a key that is revoked, marked or no longer there is said to be")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"),))
    stage.run("lookup", access_keys=[OLD])
    ledger(stage, compromised=(CompromisedKey(OLD, "leaked", "ann", EPOCH),))
    stage.run("lookup", access_keys=[OLD])
    ledger(stage, compromised=(), revoking=())
    stage.sim.keys[OLD].deleted_at = stage.sim.time.now
    stage.run("lookup", access_keys=[OLD])


@lookup.scenario("keys that rotator did not publish are told apart")
def _(stage: Stage) -> None:
    adopted(stage)
    names = [
        stray(stage),
        untracked(stage),
        stray(stage, provider_managed=True),
        stray(stage, deletable=False),
        stray(stage, expires_at=EPOCH + HOUR),
    ]
    theirs, _ = stage.sim.make_key("theirs", bearer="not-ours", expires=EPOCH + 2 * HOUR)
    stage.desk.management_key = stray(stage)
    stage.sim.time.advance(HOUR)
    stage.run("lookup", access_keys=[*names, theirs.access_key, stage.desk.management_key, "SCWUNKNOWNUNKNOWNUNK"])
    stage.run("lookup", access_keys=names[:3])
    stage.run("lookup", access_keys=[])


@lookup.scenario("a key that no ledger names and that the document publishes is current")
def _(stage: Stage) -> None:
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key)
    stage.run("lookup", access_keys=[key.access_key])
    failing(stage, "read_document", DENIED)
    stage.run("lookup", access_keys=[key.access_key])
    failing(stage, "read_document", ERRORS)
    stage.run("lookup", access_keys=[key.access_key])


@lookup.scenario("an account that does not answer leaves what the ledgers say")
def _(stage: Stage) -> None:
    rotated(stage)
    failing(stage, "get_key", ERRORS)
    stage.run("lookup", access_keys=[NEW, OLD])
    stage.run("lookup", access_keys=[NEW, "SCWUNKNOWNUNKNOWNUNK"])


@lookup.scenario("a ledger that cannot be read may name the key")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    damaged(stage)
    stage.run("lookup", access_keys=["SCWUNKNOWNUNKNOWNUNK", OLD])


@lookup.scenario("more than three keys are looked for in one list, or by name if the list is too long")
def _(stage: Stage) -> None:
    rotated(stage)
    names = [OLD, NEW, "SCWUNKNOWNUNKNOWNUNK", "SCWUNKNOWNUNKNOWNUNL"]
    stage.sim.calls.clear()
    stage.run("lookup", access_keys=names)
    assert [name for name in stage.sim.calls if name in ("get_key", "list_all_keys")] == ["list_all_keys"]
    failing(stage, "list_all_keys", TooManyKeys("too many", service="acme", kind="too_many_keys"))
    stage.run("lookup", access_keys=names)
    stage.sim.calls.clear()
    stage.run("lookup", access_keys=names[:3])
    assert [name for name in stage.sim.calls if name in ("get_key", "list_all_keys")] == ["get_key"] * 3


@lookup.scenario("a name that the provider takes for none is no key, and another refusal is one")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("lookup", access_keys=["not-a-key"])
    failing(stage, "get_key", Rejected("no", service="acme", kind="invalid_arguments", argument="organization_id"))
    stage.run("lookup", access_keys=["SCWUNKNOWNUNKNOWNUNK"])


@lookup.scenario("a key of a removed application, and of an earlier name, has its application")
def _(stage: Stage) -> None:
    rotated(stage)
    removed(stage)
    mailer(stage)
    stage.run("lookup", access_keys=[OLD, NEW])
    failing(stage, "get_key", ERRORS)
    stage.run("lookup", access_keys=[OLD, NEW])


@lookup.scenario("the keys of an earlier name are those of the application")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    stage.run("lookup", access_keys=[OLD, NEW])


@lookup.scenario("two accounts are asked, and one that fails matters only for keys that the other one lacks")
def _(stage: Stage) -> None:
    rotated(stage)
    mailer(stage, account="globex")

    class Away(SimProvider):
        def get_key(self, access_key: str) -> Any:
            raise DENIED

    def change(app: Any) -> None:
        app.provider = lambda account: (Away if account == "globex" else SimProvider)(stage.sim, account)

    stage.app = change
    stage.run("lookup", access_keys=[OLD])
    theirs, _ = stage.sim.make_key(bearer="another")
    stage.sim.keys[theirs.access_key].deleted_at = stage.sim.time.now
    stage.run("lookup", access_keys=[theirs.access_key])


# --- doctor -----------------------------------------------------------------------------------------------------------


@doctor.scenario("the facts of the installation are examined")
def _(stage: Stage) -> None:
    stage.run("doctor")


AFRESH = "after a change that is meant: python -m tests.operations.queries.test_transcripts"
ALL = {one.name: one for one in (plan, status, history, lookup, doctor)}


@pytest.mark.parametrize(
    ("query", "sentence"), [(name, sentence) for name, scenarios in ALL.items() for sentence in scenarios.all]
)
def test_a_query_answers_what_its_transcript_holds(query: str, sentence: str) -> None:
    assert told(ALL[query].all[sentence]) == ALL[query].kept()[sentence], AFRESH


@pytest.mark.parametrize("name", ALL)
def test_every_transcript_has_its_story(name: str) -> None:
    assert list(ALL[name].kept()) == list(ALL[name].all), AFRESH


if __name__ == "__main__":
    for scenarios in ALL.values():
        scenarios.write()
