"""An account whose management key is rotated by the daemon itself: it can log in after whatever happened, and revokes what it left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from rotator.decision.observation import RotationRequest
from rotator.domain.document import DocumentState
from rotator.domain.secret import Secret
from rotator.errors import Conflict, Indeterminate, PermissionDenied, Unavailable
from rotator.providers.management_key import KeyPair, ManagementKeyGuard, OwnKey
from tests.support.invariants import Monitor
from tests.support.scenarios import DAY, HOUR, MINUTE, failing, mark
from tests.support.simulated import PATH, Actor, Killed, Sim, SimProvider, SimVault, no_hook

T = TypeVar("T")
GRACE = timedelta(hours=24)
WRITES = {"write_ledger", "write_document", "create_key", "delete_key"}


@dataclass
class LoggedIn(SimProvider):
    """The provider as it is: it answers nothing but to a key that is valid."""

    key: OwnKey | None = None

    def _effect(self, name: str, execute: Callable[[], T]) -> T:
        assert self.key is not None
        secret = self.key.current() or self.key()
        if not self.sim.works(secret.reveal()):
            other = self.key()
            if other == secret or not self.sim.works(other.reveal()):
                raise PermissionDenied("the management key is refused", service=self.name, kind="management_key")
            if name == "create_key":
                raise Unavailable("the management key has been replaced", service=self.name, kind="key_replaced")
        return super()._effect(name, execute)


def log_in(actor: Actor, initial: Secret | None = None) -> OwnKey:
    """A process of its own: it remembers no key, and reads the document that is rotated."""
    vault = SimVault(actor.sim)

    def read() -> KeyPair | None:
        document = vault.read_document(PATH, "access_key", "secret_key")
        if document.state is not DocumentState.LIVE or document.access_key is None or document.secret is None:
            return None
        return KeyPair(document.access_key, document.secret)

    key = OwnKey(read, initial=(lambda: initial) if initial else None)
    guard = ManagementKeyGuard(LoggedIn(actor.sim, key=key), key)
    actor.context = replace(actor.context, provider=guard, manages_account=True)
    return key


class World:
    """An account with the key that it logs in with, published where two daemons read it."""

    def __init__(self) -> None:
        self.sim = Sim()
        key, _ = self.sim.make_key()
        self.sim.publish_by_hand(key.access_key)
        self.first = key.access_key
        self.monitor = Monitor(self.sim, GRACE)
        self.daemon, self.other = Actor(self.sim), Actor(self.sim, owner="daemon-2")
        for actor in (self.daemon, self.other):
            log_in(actor)
        self.daemon.run()
        self.other.run()
        self.sim.calls.clear()

    def restart(self) -> None:
        """The daemon was killed; the next process remembers nothing."""
        self.daemon.restart()
        log_in(self.daemon)


def requested(world: World) -> None:
    for _ in range(10):
        outcome = world.daemon.run(RotationRequest("asked", world.first))
        if world.sim.published_key() != world.first and outcome.error is None:
            break
        world.sim.time.advance(MINUTE)
    world.daemon.run_for(25 * HOUR)


def leaked(world: World) -> None:
    for _ in range(3):
        try:
            mark(world.daemon)
        except (Unavailable, Indeterminate, Conflict):
            continue
        break
    world.daemon.run_for(HOUR)


def leaked_and_revoked_first(world: World) -> None:
    for _ in range(3):
        try:
            mark(world.daemon, mode="revoke_first")
        except (Unavailable, Indeterminate, Conflict):
            continue
        break
    world.daemon.run_for(HOUR)


STORIES: dict[str, Callable[[World], None]] = {
    "it is replaced": requested,
    "it leaked": leaked,
    "it leaked and is to be revoked first": leaked_and_revoked_first,
}
ACCIDENTS = (
    "killed before",
    "killed after",
    "answer lost",
    "fails",
    "the other daemon acts before",
    "the other daemon acts after",
)


def befall(world: World, point: int, accident: str) -> Callable[[str, str], None]:
    """What happens at the call of that number, once."""
    count = -1
    done = False

    def hook(name: str, phase: str) -> None:
        nonlocal count, done
        if phase == "after":
            world.monitor.check()
        count += phase == "before"
        if count != point or done or not accident.endswith((phase, "lost" if phase == "after" else "fails")):
            return
        done = True
        if accident.startswith("killed"):
            raise Killed
        if accident == "fails":
            raise Unavailable("away for a moment", service="test", kind="unreachable")
        if accident == "answer lost":
            raise (Indeterminate if name in WRITES else Unavailable)(
                "the answer was lost", service="test", kind="timeout"
            )
        world.other.run()

    return hook


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("story", STORIES)
def test_c20_after_an_accident_at_any_call_both_daemons_log_in_and_the_replaced_key_is_revoked(
    story: str, accident: str
) -> None:
    calm = World()
    STORIES[story](calm)
    points = [n for n, name in enumerate(calm.sim.calls) if name not in {"read_ledger", "list_keys"} or n < 8]
    assert len(points) > 14, "the story lost its calls"
    for point in points:
        world = World()
        world.sim.hook = befall(world, point, accident)
        try:
            try:
                STORIES[story](world)
            except Killed:
                world.restart()
                STORIES[story](world)
            world.sim.hook = no_hook
            world.daemon.run_for(3 * DAY)
            world.other.run_for(3 * DAY)
            world.daemon.run_for(DAY)
            world.monitor.check()
            assert not world.sim.live(world.first), "the replaced key still authenticates"
            world.monitor.check_rest(world.sim.ledger())
            fresh = Actor(world.sim, owner="a new process")
            log_in(fresh)
            assert fresh.run().error is None
        except AssertionError as error:
            error.add_note(f"at call {point}: {accident}")
            raise


def test_c20_the_account_changes_over_before_the_old_key_is_revoked() -> None:
    world = World()
    world.daemon.run(RotationRequest("asked", world.first))
    second = world.sim.published_key()
    assert second != world.first
    world.daemon.run_for(2 * DAY)
    assert world.sim.live_keys() == [second]
    assert world.other.run().error is None, "the daemon that still had the old key reads the new one"


def test_c20_a_published_key_that_does_not_authenticate_is_not_changed_over_to() -> None:
    world = World()
    key = log_in(world.daemon)
    key()
    world.sim.append("doc:" + PATH, {"access_key": "SCWWRONG", "secret_key": "11111111-0000-4000-8000-111111111111"})
    key.refresh(world.daemon.context.provider.authenticate)
    assert key.in_use == world.first
    world.daemon.run_for(2 * DAY)
    assert world.sim.works(world.sim.published(PATH).data["secret_key"]), "the daemon published a key that works"  # type: ignore[union-attr]


def test_c20_the_key_in_use_is_not_deleted_as_long_as_the_published_one_does_not_authenticate() -> None:
    world = World()
    provider = world.daemon.context.provider
    provider.list_keys(world.daemon.spec.bearer)
    other, secret = world.sim.make_key()
    world.sim.publish_by_hand(other.access_key, "22222222-0000-4000-8000-222222222222")
    with pytest.raises(Unavailable, match="no other published key authenticates yet"):
        provider.delete_key(world.first)
    world.sim.publish_by_hand(other.access_key, secret.reveal())
    assert provider.delete_key(world.first)
    assert world.sim.live_keys() == [other.access_key]


LACKING = "acme: the management key may not read api_key"


def problem_of(world: World) -> str:
    problem = world.sim.ledger().problem
    return problem.message if problem else ""


def test_c20_a_new_key_that_authenticates_and_may_not_manage_the_account_is_given_up() -> None:
    world = World()
    world.sim.missing_right = LACKING
    outcome = world.daemon.run(RotationRequest("asked", world.first))
    assert world.sim.published_key() == world.first
    assert outcome.error is None
    assert f"authenticates and was not seen to manage the account within 300 s ({LACKING})" in problem_of(world)
    assert "verification_failed" in [entry.reason for entry in world.sim.ledger().history]
    world.daemon.run_for(MINUTE)
    assert world.sim.live_keys() == [world.first], "the key that was given up is revoked"
    world.sim.missing_right = ""
    world.daemon.run_for(2 * DAY)
    world.daemon.run(RotationRequest("asked again", world.first))
    assert world.sim.published_key() != world.first
    assert problem_of(world) == ""


def test_c20_the_rights_of_a_new_key_are_asked_for_once_after_it_has_authenticated() -> None:
    world = World()
    world.sim.calls.clear()
    world.daemon.run(RotationRequest("asked", world.first))
    assert world.sim.published_key() != world.first
    assert world.sim.calls.count("missing_right") == 1


def test_c20_a_right_that_takes_effect_while_the_key_is_verified_is_waited_for() -> None:
    world = World()
    world.sim.missing_right = LACKING
    asked = 0

    def hook(name: str, phase: str) -> None:
        nonlocal asked
        asked += (name, phase) == ("missing_right", "before")
        world.sim.missing_right = LACKING if asked < 3 else ""

    world.sim.hook = hook
    world.daemon.run(RotationRequest("asked", world.first))
    assert world.sim.published_key() != world.first
    assert asked == 3


def test_c20_without_an_answer_about_the_rights_the_new_key_is_not_published() -> None:
    world = World()
    away = Unavailable("acme: the answer (503) shows no right", service="acme", kind="unexpected_answer")
    failing(world.sim, "missing_right", away)
    world.daemon.run(RotationRequest("asked", world.first))
    assert world.sim.published_key() == world.first
    assert str(away) in problem_of(world)


def test_c20_an_emergency_does_not_publish_a_key_that_could_not_revoke_the_leaked_one() -> None:
    world = World()
    world.sim.missing_right = LACKING
    mark(world.daemon)
    world.daemon.run_for(HOUR)
    assert world.sim.published_key() == world.first
    assert LACKING in problem_of(world)
    world.sim.missing_right = ""
    world.daemon.run_for(2 * HOUR)
    assert not world.sim.live(world.first)
    assert world.sim.live_keys() == [world.sim.published_key()]


def test_the_key_of_any_other_application_is_verified_by_its_login_alone() -> None:
    world = World()
    world.daemon.context = replace(world.daemon.context, manages_account=False)
    world.sim.missing_right = LACKING
    world.daemon.run(RotationRequest("asked", world.first))
    assert world.sim.published_key() != world.first
    assert "missing_right" not in world.sim.calls


def test_c20_people_see_which_key_the_account_logs_in_with() -> None:
    world = World()
    provider = world.daemon.context.provider
    provider.list_keys(world.daemon.spec.bearer)
    assert [key.access_key for key in provider.list_all_keys() if key.manages_account] == [world.first]


def test_c20_a_document_that_cannot_be_read_leaves_the_key_in_use() -> None:
    world = World()
    key = log_in(world.daemon)
    key()
    world.sim.sealed = True
    with pytest.raises(Unavailable):
        key.refresh(world.daemon.context.provider.authenticate)
    assert key.in_use == world.first
    assert key.current() is not None


def test_c20_the_first_login_is_made_with_the_initial_key_and_the_first_rotation_replaces_it() -> None:
    sim = Sim()
    _, secret = sim.make_key()
    daemon = Actor(sim)
    key = log_in(daemon, initial=secret)
    daemon.run()
    published = sim.published_key()
    assert published is not None
    daemon.run_for(MINUTE)
    key.refresh(daemon.context.provider.authenticate)
    assert key.in_use == published
    assert sim.live(published)


def test_c20_the_initial_key_is_tried_again_when_the_published_one_is_refused() -> None:
    pairs: list[Any] = [KeyPair("SCWPUBLISHED", Secret("s" * 36))]
    key = OwnKey(lambda: pairs[0], initial=lambda: Secret("i" * 36), initial_name="SCWINITIAL")
    assert (key().reveal(), key.in_use) == ("s" * 36, "SCWPUBLISHED")
    assert (key().reveal(), key.in_use) == ("i" * 36, "SCWINITIAL")


def test_c20_without_a_published_and_an_initial_key_the_refusal_says_what_to_do() -> None:
    with pytest.raises(Exception, match="write the management key there, or set secret_key"):
        OwnKey(lambda: None)()
