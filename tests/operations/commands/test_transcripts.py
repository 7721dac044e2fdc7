"""The commands: each scenario is one line of what a person does, and its transcript holds the answer, the events and the ledgers.

`python -m tests.operations.commands.test_transcripts` writes the transcripts anew after a change that is meant.
"""

from __future__ import annotations

import itertools

import pytest

from rotator.decision.observation import RotationRequest
from rotator.domain.ledger import Hold, RevokingKey
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Conflict, Indeterminate, PermissionDenied, Refused, Unavailable
from rotator.reconciler.context import ReconcileContext
from tests.cli.conftest import SimApp
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
from tests.support.simulated import EPOCH, PATH, Killed, spec

AWAY = Unavailable("Vault does not answer", service="vault", kind="unreachable")
LOST = Indeterminate("no answer", service="vault", kind="timeout")
FASTER = Conflict("another process was faster", service="vault", kind="conflict")
DENIED = PermissionDenied("the policy denies it", service="vault", kind="policy", path="secret/x", capability="read")

rotate = Scenarios("rotate")
compromise = Scenarios("compromise")
hold = Scenarios("hold")
extend = Scenarios("extend")
revoke = Scenarios("revoke")
drill = Scenarios("drill")


# --- rotate -----------------------------------------------------------------------------------------------------------


@rotate.scenario("a rotation replaces the published key and gives it its grace")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.run("rotate", applications=["billing"], reason=" the contractor left ")


@rotate.scenario(
    "a rotation without a reason says that it was requested, and a daemon looks at the application at once"
)
def _(stage: Stage) -> None:
    adopted(stage)
    stage.daemon = Daemon()
    stage.run("rotate", applications=["billing", "billing"])


@rotate.scenario("the first key of an application replaces none")
def _(stage: Stage) -> None:
    stage.run("rotate", applications=["billing"])


@rotate.scenario("another process that is faster leaves nothing to do")
def _(stage: Stage) -> None:
    daemon = adopted(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("read_document", "after"):
            stage.sim.hook = lambda name, phase: None
            daemon.run(RotationRequest("asked", OLD))

    stage.sim.hook = hook
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a held application is not rotated")
def _(stage: Stage) -> None:
    adopted(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH))
    stage.run("rotate", applications=["billing"])
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH, EPOCH + DAY))
    stage.run("rotate", applications=["billing"])


@rotate.scenario("an application that left the configuration is not rotated")
def _(stage: Stage) -> None:
    adopted(stage)
    removed(stage)
    stage.run("rotate", applications=["billing"])


@rotate.scenario("an unknown application is refused before anything is done")
def _(stage: Stage) -> None:
    stage.run("rotate", applications=["biling"])


@rotate.scenario("an exhausted quota refuses the rotation")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.quota = 1
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a policy without the right to publish refuses the rotation")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.lacking = ("update",)
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a sealed Vault is waited for as long as the policy says")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.sealed = True
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a key that the provider never accepts is given up")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.activation = DAY
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a provider that fails for a while does not end the rotation")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "create_key", Unavailable("500", service="acme", kind="server_error"), times=2)
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a provider that fails for longer than the policy says ends the rotation")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=10 * SECOND)
    adopted(stage)
    failing(stage, "create_key", Unavailable("500", service="acme", kind="server_error"))
    stage.run("rotate", applications=["billing"])


@rotate.scenario("a document that cannot be read refuses the rotation")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "read_document", DENIED)
    stage.run("rotate", applications=["billing"])


@rotate.scenario("of two applications one has left the configuration and the other one is rotated")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    removed(stage)
    stage.daemon = Daemon()
    stage.run("rotate", applications=["mailer", "billing"])


@rotate.scenario("what only an emergency has is refused in an ordinary rotation, and so is an access key")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.run("rotate", applications=["billing"], revoke_first=True)
    stage.run("rotate", applications=["billing"], override_hold=True)
    stage.run("rotate", applications=["billing"], confirm=[OLD])
    stage.run("rotate", applications=[OLD])
    stage.run("rotate", applications=[OLD[:-1]])
    stage.run("rotate", applications=[])
    stage.run("rotate", applications=["billing"], seconds=3)


# --- rotate, compromised ----------------------------------------------------------------------------------------------


def emergency(stage: Stage, *names: str, **said: object) -> None:
    stage.run("rotate", applications=list(names) or ["billing"], compromised=True, **{"reason": "leaked", **said})


@compromise.scenario("the name of an application stands for all of its keys")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.daemon = Daemon()
    emergency(stage, reason=" found in a repository ")


@compromise.scenario("a key that the ledger names stands for its application")
def _(stage: Stage) -> None:
    rotated(stage)
    emergency(stage, OLD)


@compromise.scenario("a key and its application are one target")
def _(stage: Stage) -> None:
    rotated(stage)
    emergency(stage, "billing", OLD, NEW)


@compromise.scenario("revoke first tells how long consumers had no key")
def _(stage: Stage) -> None:
    adopted(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("create_key", "before"):
            stage.sim.time.advance(3 * SECOND)

    stage.sim.hook = hook
    emergency(stage, revoke_first=True)


@compromise.scenario("an unmanaged key is contained when its full name is repeated, and no other key is marked")
def _(stage: Stage) -> None:
    adopted(stage)
    name = stray(stage)
    emergency(stage, name)
    emergency(stage, name, confirm=[name])


@compromise.scenario("an untracked key is contained with its application")
def _(stage: Stage) -> None:
    adopted(stage)
    emergency(stage, untracked(stage))


@compromise.scenario("a key that the provider manages is not revoked")
def _(stage: Stage) -> None:
    adopted(stage)
    name = stray(stage, provider_managed=True)
    emergency(stage, name)


@compromise.scenario("the management key is not revoked, whoever owns it")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.desk.management_key = OLD
    emergency(stage, OLD)
    stage.desk.management_key = stray(stage)
    emergency(stage, stage.desk.management_key)


@compromise.scenario("keys of no application, unknown keys and revoked keys are refused one by one")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])
    theirs, _ = stage.sim.make_key(bearer="not-ours")
    emergency(stage, theirs.access_key, "SCWUNKNOWNUNKNOWNUNK", OLD, "billing")


@compromise.scenario("a key that is no key is refused before anything is done")
def _(stage: Stage) -> None:
    adopted(stage)
    emergency(stage, OLD.lower())
    emergency(stage, reason="  ")


@compromise.scenario("an application without a key has nothing to mark")
def _(stage: Stage) -> None:
    emergency(stage)


@compromise.scenario("a hold keeps the keys valid until it is overridden")
def _(stage: Stage) -> None:
    adopted(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH))
    emergency(stage)
    emergency(stage, override_hold=True)


@compromise.scenario("a sealed Vault marks nothing")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.sealed = True
    emergency(stage)


@compromise.scenario("a mark whose answer is lost for ever is not known to be written")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_ledger", "after"):
            stage.sim.sealed = True
            raise LOST

    stage.sim.hook = hook
    emergency(stage)


@compromise.scenario("a mark whose answer is lost is read back")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "write_ledger", LOST, phase="after", times=1)
    emergency(stage)


@compromise.scenario("a Vault that is sealed after the mark leaves a mark that lasts")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    rotated(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("create_key", "before"):
            stage.sim.sealed = True

    stage.sim.hook = hook
    emergency(stage)


@compromise.scenario("an exhausted quota does not end an emergency by itself")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    stage.sim.quota = 1
    emergency(stage)


@compromise.scenario("a key that lives on although it was deleted is not called revoked")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    stage.sim.lingering = HOUR
    emergency(stage)


@compromise.scenario("a command that is repeated waits for the open incident and marks no newer key")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    stage.sim.lingering = 30 * SECOND
    emergency(stage)
    emergency(stage)
    stage.sim.time.advance(MINUTE)
    emergency(stage, OLD)
    emergency(stage, NEW)


@compromise.scenario("a key of an incident that has ended is revoked already")
def _(stage: Stage) -> None:
    adopted(stage)
    emergency(stage)
    emergency(stage, OLD)


@compromise.scenario("a key in a field that is not configured makes the name of the application unclear")
def _(stage: Stage) -> None:
    adopted(stage)
    other, secret = stage.sim.make_key("of the second field")
    stage.sim.publish_by_hand(OLD, other_key=other.access_key, other_secret=secret.reveal())
    emergency(stage)
    emergency(stage, other.access_key, confirm=[other.access_key])


@compromise.scenario("a provider that does not answer leaves the name of the application as it is")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.publish_by_hand(OLD, other_key="SCW0000000000000000X")
    failing(stage, "list_keys", Unavailable("500", service="acme", kind="server_error"), times=1)
    emergency(stage)


@compromise.scenario("a document that cannot be read does not keep the keys of the ledger from being marked")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    failing(stage, "read_document", DENIED)
    emergency(stage, revoke_first=True)


@compromise.scenario("a ledger that was rolled back has lost its mark")
def _(stage: Stage) -> None:
    adopted(stage)
    before = stage.sim.kv["ledger:billing"][-1].data

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_ledger", "after"):
            stage.sim.hook = lambda name, phase: None
            stage.sim.append("ledger:billing", before)

    stage.sim.hook = hook
    emergency(stage)


@compromise.scenario("the keys of a removed application are revoked and no key is published")
def _(stage: Stage) -> None:
    adopted(stage)
    removed(stage)
    emergency(stage)


@compromise.scenario("the keys of an earlier name belong to the application")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    emergency(stage, "payments")


@compromise.scenario("a name whose ledger another application took over is refused")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    emergency(stage, "billing")


@compromise.scenario("an account that does not answer leaves the ledgers, and a key that none names is refused")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "get_key", Unavailable("500", service="acme", kind="server_error"), times=500)
    emergency(stage, "SCW0000000000000000X")


@compromise.scenario("two applications are contained, and one that cannot be read does not stop the other one")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    stage.sim.append("ledger:mailer", {"schema": 99})
    stage.sim.time.tokens = itertools.repeat(7)  # type: ignore[assignment]  # whichever of the two asks first
    stage.daemon = Daemon()
    emergency(stage, "billing", "mailer")


@compromise.scenario("a command that is repeated while a key is not verified spares the key that replaced it")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    stage.sim.lingering = HOUR
    emergency(stage)
    emergency(stage)
    emergency(stage, reason="another leak")
    emergency(stage, NEW, "billing")


@compromise.scenario("a replacement that was published before a process ended is spared too")
def _(stage: Stage) -> None:
    adopted(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_document", "after"):
            raise Killed

    stage.sim.hook = hook
    with pytest.raises(Killed):
        emergency(stage)
    stage.sim.hook = lambda name, phase: None
    emergency(stage)


@compromise.scenario("two unmanaged keys and their application are one target, with a result for each set of keys")
def _(stage: Stage) -> None:
    adopted(stage)
    one, other = stray(stage), stray(stage)
    emergency(stage, "billing", one, other, confirm=[other])
    emergency(stage, "billing", one, confirm=[one])


@compromise.scenario("an unmanaged key whose containment is not verified has a result of its own")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    name = stray(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH))
    emergency(stage, name, confirm=[name])
    emergency(stage, name)


@compromise.scenario("a key that no ledger names is marked when the document publishes it")
def _(stage: Stage) -> None:
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key)
    emergency(stage)


@compromise.scenario(
    "a key in a field that is not configured is named, and without another key there is none in its place"
)
def _(stage: Stage) -> None:
    other, secret = stage.sim.make_key("of the second field")
    where = {"other_key": other.access_key, "other_secret": secret.reveal()}
    stage.sim.append("doc:" + PATH, where)
    emergency(stage)
    rotated_key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(rotated_key.access_key, **where)
    emergency(stage)
    stage.sim.publish_by_hand(rotated_key.access_key, note=["SCW00000000000000001"], at=EPOCH)
    emergency(stage)


@compromise.scenario("of two keys in two ledger entries each one may be named in the place of a third")
def _(stage: Stage) -> None:
    rotated(stage)
    other, secret = stage.sim.make_key("of the second field")
    stage.sim.publish_by_hand(NEW, other_key=other.access_key, other_secret=secret.reveal())
    emergency(stage)


@compromise.scenario("a replacement that no consumer can get leaves no key published, with the reason")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    stage.sim.kv["doc:" + PATH][-1].deleted = True
    emergency(stage)


@compromise.scenario("a right that is missing does not end the emergency of the keys in grace")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    rotated(stage)
    stage.sim.lacking = ("update",)
    emergency(stage)


@compromise.scenario("an attempt that fails once is followed by one that does not")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    failing(stage, "create_key", Unavailable("500", service="acme", kind="server_error"), times=1)
    emergency(stage)


@compromise.scenario("an error of the program in one application does not stop the other one")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    stage.sim.time.tokens = itertools.repeat(7)  # type: ignore[assignment]  # whichever of the two asks first

    def change(app: SimApp) -> None:
        context = app.context

        def broken(spec: ApplicationSpec) -> ReconcileContext:
            if spec.application == "mailer":
                raise Refused("its context cannot be made")
            return context(spec)

        app.context = broken  # type: ignore[method-assign]  # what this scenario tells

    stage.app = change
    stage.sim.append("ledger:mailer", stage.sim.kv["ledger:billing"][0].data | {"application": "mailer"})
    emergency(stage, "billing", "mailer")


# --- hold and resume --------------------------------------------------------------------------------------------------


@hold.scenario("a held application is left alone until it is resumed")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.daemon = Daemon()
    stage.run("hold", applications=["billing"], reason="migration")
    stage.run("resume", applications=["billing"])
    stage.run("resume", applications=["billing"])


@hold.scenario("a hold with an end says when it ends")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.run("hold", applications=["billing"], reason="migration", until=EPOCH + 2 * DAY)
    stage.by = "bob@desk"
    stage.run("hold", applications=["billing"], reason="second", until=EPOCH + DAY)
    stage.run("hold", applications=["billing"], reason="migration", until=EPOCH + DAY)
    stage.run("hold", applications=["billing"], reason="third")
    stage.run("hold", applications=["billing"], reason="third", until=EPOCH)
    stage.run("hold", applications=["billing"], reason="third", until=EPOCH + SECOND)


@hold.scenario("all applications are held and resumed at once, also one without a ledger")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    stage.daemon = Daemon()
    stage.run("hold", everything=True, reason=" ")
    stage.run("resume", everything=True)


@hold.scenario("what is left unsaid, and what is said twice, is refused")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.run("hold", reason="x")
    stage.run("hold", applications=["billing"], everything=True, reason="x")
    stage.run("hold", applications=["billing"])
    stage.run("hold", applications=["billing"], reason="")
    stage.run("resume")
    stage.run("resume", applications=["billing"], everything=True)


@hold.scenario("whoever resumes reads how many keys are revoked now")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("hold", applications=["billing"], reason="migration")
    stage.sim.time.now = stage.sim.ledger().retiring[0].revoke_after
    ledger(stage, revoking=(RevokingKey(NEXT, 1, "replaced"),))
    stage.run("resume", applications=["billing"])


@hold.scenario("one key in grace whose time has not passed is not counted")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("hold", applications=["billing"], reason="migration")
    stage.sim.time.now = stage.sim.ledger().retiring[0].revoke_after - SECOND
    stage.run("resume", applications=["billing"])


@hold.scenario("a sealed Vault takes no command")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.sim.sealed = True
    stage.run("hold", applications=["billing"], reason="x")
    stage.run("resume", applications=["billing"])


@hold.scenario("a race that is lost twice is won at the third attempt")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "write_ledger", FASTER, times=2)
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("a race that is lost each time is given up")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "write_ledger", FASTER)
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("an answer that is lost once is found")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "write_ledger", LOST, phase="after", times=1)
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("an answer that is lost for ever leaves the hold unknown")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    failing(stage, "write_ledger", LOST, times=3)
    stage.run("hold", applications=["billing"], reason="x")
    failing(stage, "write_ledger", LOST)
    stage.run("hold", applications=["billing"], reason="y")


@hold.scenario("the ledger of an earlier name is taken over first")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    stage.run("hold", applications=["payments"], reason="x")
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("an installation without an id gets one before its first ledger")
def _(stage: Stage) -> None:
    stage.sim.installation = ""
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("a hold that no ledger can take is not known to be written when its answer was lost")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_ledger", "after"):
            stage.sim.hook = lambda name, phase: (_ for _ in ()).throw(AWAY) if name == "read_ledger" else None
            raise LOST

    stage.sim.hook = hook
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("a read whose answer is lost leaves nothing unknown")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    adopted(stage)
    failing(stage, "read_ledger", LOST)
    stage.run("hold", applications=["billing"], reason="x")


@hold.scenario("an earlier name whose ledger cannot be read does not keep the new one from being held")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    stage.sim.append("ledger:billing", {"schema": 99})
    stage.run("hold", applications=["payments"], reason="x")


# --- extend -----------------------------------------------------------------------------------------------------------


@extend.scenario("a key in grace stays valid longer")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.daemon = Daemon()
    stage.run("extend", applications=["billing"], seconds=86400)


@extend.scenario("a key that is scheduled for revocation and was published again is extended too")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, revoking=(RevokingKey(NEXT, 1, "replaced", republished=True, not_before=EPOCH + DAY),))
    stage.run("extend", applications=["billing"], seconds=60)


@extend.scenario("an extension that ends in the past is refused")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.sim.time.now = stage.sim.ledger().retiring[0].revoke_after + HOUR + MINUTE
    stage.run("extend", applications=["billing"], seconds=3600)
    stage.run("extend", applications=["billing"], seconds=3660)
    stage.run("extend", applications=["billing"], seconds=3720)


@extend.scenario("without a key in grace there is nothing to extend")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.run("extend", applications=["billing"], seconds=60)
    ledger(stage, revoking=(RevokingKey(NEXT, 1, "replaced"), RevokingKey(NEW, 1, "replaced")))
    stage.run("extend", applications=["billing"], seconds=60)


@extend.scenario("seconds that are none are refused, and so is an unknown application")
def _(stage: Stage) -> None:
    rotated(stage)
    for seconds in (0, 366 * 86400 + 1, "60"):
        stage.run("extend", applications=["billing"], seconds=seconds)
    stage.run("extend", applications=["biling"], seconds=60)


@extend.scenario("an extension whose answer is lost counts once")
def _(stage: Stage) -> None:
    rotated(stage)
    failing(stage, "write_ledger", LOST, phase="after", times=1)
    stage.run("extend", applications=["billing"], seconds=60)


@extend.scenario("a sealed Vault extends nothing")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.sim.sealed = True
    stage.run("extend", applications=["billing"], seconds=60)


# --- revoke -----------------------------------------------------------------------------------------------------------


@revoke.scenario("a grace ends early when the full name is repeated")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.daemon = Daemon()
    stage.run("revoke", access_keys=[OLD])
    stage.run("revoke", access_keys=[OLD], confirm=[NEW])
    stage.run("revoke", access_keys=[OLD], confirm=[OLD], reason=" everybody has moved ")
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


@revoke.scenario("a grace that ends early without a reason is revoked by hand")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("revoke", access_keys=[OLD, OLD], confirm=[OLD])


@revoke.scenario("the key that consumers read is not revoked")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.run("revoke", access_keys=[NEW], confirm=[NEW])
    stage.sim.publish_by_hand(OLD)
    stage.run("revoke", access_keys=[NEW, OLD], confirm=[NEW, OLD])


@revoke.scenario("an unmanaged key is revoked when its full name is repeated")
def _(stage: Stage) -> None:
    adopted(stage)
    name = stray(stage)
    stage.run("revoke", access_keys=[name])
    stage.run("revoke", access_keys=[name], confirm=[name], reason="of the old printer")


@revoke.scenario("under a hold no key is revoked, unless the hold is overridden")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH))
    name = stray(stage)
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])
    stage.run("revoke", access_keys=[name], confirm=[name])
    stage.run("revoke", access_keys=[name], confirm=[name], override_hold=True)


@revoke.scenario("keys that are not to be revoked here are refused with the reason")
def _(stage: Stage) -> None:
    adopted(stage)
    managed, stuck, made = stray(stage, provider_managed=True), stray(stage, deletable=False), untracked(stage)
    theirs, _ = stage.sim.make_key(bearer="not-ours")
    stage.desk.management_key = stray(stage)
    names = [managed, stuck, made, theirs.access_key, stage.desk.management_key, "SCWUNKNOWNUNKNOWNUNK"]
    stage.run("revoke", access_keys=names, confirm=names)
    stage.run("revoke", access_keys=[OLD.lower()])
    stage.run("revoke", access_keys=[])


@revoke.scenario("a key that is scheduled for revocation needs no confirmation")
def _(stage: Stage) -> None:
    rotated(stage)
    ledger(stage, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"),))
    stage.run("revoke", access_keys=[OLD])


@revoke.scenario("a key that lives on although it was deleted is not called revoked")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    rotated(stage)
    stage.sim.lingering = DAY
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


@revoke.scenario("a provider that does not answer does not keep a grace from ending")
def _(stage: Stage) -> None:
    stage.desk.specs["billing"] = spec(publish_timeout=5 * SECOND)
    rotated(stage)
    failing(stage, "get_key", Unavailable("500", service="acme", kind="server_error"), after=1)
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


@revoke.scenario("a key that a person publishes again meanwhile stays valid")
def _(stage: Stage) -> None:
    rotated(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_ledger", "after"):
            stage.sim.hook = lambda name, phase: None
            stage.sim.publish_by_hand(OLD)

    stage.sim.hook = hook
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


@revoke.scenario("a sealed Vault revokes nothing")
def _(stage: Stage) -> None:
    rotated(stage)
    stage.sim.sealed = True
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


@revoke.scenario("an unmanaged key is revoked under a hold that is overridden")
def _(stage: Stage) -> None:
    adopted(stage)
    ledger(stage, hold=Hold("migration", "bob@desk", EPOCH))
    name = stray(stage)
    stage.run("revoke", access_keys=[name], confirm=[name], override_hold=True)


@revoke.scenario("a key that another provider's error hides is refused and the next one is revoked")
def _(stage: Stage) -> None:
    rotated(stage)
    failing(stage, "get_key", DENIED, times=1)
    name = stray(stage)
    stage.run("revoke", access_keys=[name, OLD], confirm=[name, OLD])


@revoke.scenario("a key in grace of an application that left the configuration is revoked")
def _(stage: Stage) -> None:
    rotated(stage)
    removed(stage)
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


@revoke.scenario("a key in grace of an earlier name is revoked")
def _(stage: Stage) -> None:
    rotated(stage)
    renamed(stage)
    stage.run("revoke", access_keys=[OLD], confirm=[OLD])


# --- drill ------------------------------------------------------------------------------------------------------------


def slow(stage: Stage) -> None:
    """Each call takes its time."""
    seconds = {"create_key": 0.5, "write_document": 0.25, "delete_key": 0.125, "write_ledger": 0.0625}

    def hook(name: str, phase: str) -> None:
        if phase == "before" and name in seconds:
            stage.sim.time.advance(seconds[name] * SECOND)

    stage.sim.hook = hook


@drill.scenario("a drill times each step and the calls alone")
def _(stage: Stage) -> None:
    adopted(stage)
    slow(stage)
    stage.daemon = Daemon()
    stage.run("drill", application="billing")


@drill.scenario("a drill in which another process makes the key tells no multiple")
def _(stage: Stage) -> None:
    daemon = adopted(stage)

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_ledger", "after"):
            stage.sim.hook = lambda name, phase: None
            daemon.run()

    stage.sim.hook = hook
    stage.run("drill", application="billing")


@drill.scenario("a drill that is refused tells why")
def _(stage: Stage) -> None:
    stage.run("drill", application="billing")
    stage.run("drill", application="biling")


AFRESH = "after a change that is meant: python -m tests.operations.commands.test_transcripts"
ALL = {one.name: one for one in (rotate, compromise, hold, extend, revoke, drill)}


@pytest.mark.parametrize(
    ("command", "sentence"), [(name, sentence) for name, scenarios in ALL.items() for sentence in scenarios.all]
)
def test_a_command_does_and_says_what_its_transcript_holds(command: str, sentence: str) -> None:
    assert told(ALL[command].all[sentence]) == ALL[command].kept()[sentence], AFRESH


@pytest.mark.parametrize("name", ALL)
def test_every_transcript_has_its_story(name: str) -> None:
    assert list(ALL[name].kept()) == list(ALL[name].all), AFRESH


if __name__ == "__main__":
    for scenarios in ALL.values():
        scenarios.write()
