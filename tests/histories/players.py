"""The processes of a history: daemons and a command line, each on a thread of its own, and the journal that checks them."""

from __future__ import annotations

import contextlib
import threading
from datetime import datetime, timedelta

from rotator.decision.observation import RotationRequest
from rotator.decision.ownership import removed_application
from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.spec import ApplicationSpec
from rotator.errors import LedgerUnreadable, RotatorError
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.runner import reconcile
from tests.histories.stage import DOCUMENT, EARLIER, EARLIER_NAME, POLICY, Stage, StageProvider, StageVault, short
from tests.histories.weather import DAY, SECOND
from tests.support.simulated import BEARER, PATH, Actor, ActorClock, Killed, Recorder


class Stop(BaseException):
    """The history is over for this player."""


class Witness(Recorder):
    """A journal that checks what it is told (I8)."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    def emit(self, event: str, **fields: object) -> None:
        super().emit(event, **fields)
        stage = self.stage
        if event not in {"pass.decided", "pass.interrupted"}:
            about = {
                name: str(value) if isinstance(value, str) else value
                for name, value in fields.items()
                if name in {"access_key", "reason", "verification", "access_keys"}
            }
            stage.tell(f"    {event} {about}")
        if event == "rotation.published":
            published = stage.published_key() == fields["access_key"] or (
                # A standby that is behind tells no lie: it was published, and somebody wrote the document since.
                stage.weather.stale and stage.ever_held(int(str(fields["version"])), fields["access_key"])
            )
            assert published, "I8: said to be published, and is not"
        if event == "key.revoked":
            true = stage.keys.get(str(fields["access_key"]))
            gone = true is None or true.deleted_at is not None
            assert gone or not stage._accepts(true), f"I8: {fields['access_key']} was said to be dead, and lives"  # type: ignore[arg-type]  # seen above
            refused = (
                true is None
                or fields["verification"] != "refused"
                or not stage._accepts(true)
                or "bad_secret" in stage.weather.accidents
            )
            assert refused, f"I8: {fields['access_key']} was said to be refused, and works"
        if event == "compromise.contained":
            for access_key in fields["access_keys"]:  # type: ignore[attr-defined]  # a list of names
                true = stage.keys.get(access_key)
                gone = true is None or true.deleted_at is not None or not stage._accepts(true)
                assert gone, f"I3: {access_key} was said to be contained, and lives"
                by_hand = (DOCUMENT, len(stage.kv.get(DOCUMENT, []))) in stage.monitor.hand_written
                assert by_hand or stage.published_key() != access_key, (
                    f"I3: {access_key} was said to be contained, and is published"
                )


class Player(threading.Thread):
    """One process on the stage. It moves only while it has the baton."""

    def __init__(self, stage: Stage, name: str, spec: ApplicationSpec) -> None:
        super().__init__(name=name, daemon=True)
        self.stage = stage
        self.actor = Actor(stage, spec, owner=name, sink=Witness(stage))
        self.actor.context = ReconcileContext(
            StageProvider(stage),
            StageVault(stage, lag=stage.behind if stage.weather.stale else None),
            ActorClock(stage.time),
            self.actor.sink,
            name,
            related=self.related,
        )
        self.renamed = False
        self.ready_at = stage.time.now
        self.go = threading.Lock()
        self.back = threading.Lock()
        self.go.acquire()
        self.back.acquire()
        self.error: BaseException | None = None
        self.over = False
        self.victim = ""

    def related(self, spec: ApplicationSpec) -> tuple[str, ...]:
        """The ledgers of the other name, as the configuration of this process has only one."""
        return tuple(
            name
            for name in (EARLIER_NAME, POLICY.application)
            if name != spec.application and self.stage.kv.get("ledger:" + name)
        )

    def rename(self, spec: ApplicationSpec) -> None:
        """From the next pass on. A pass in the middle ends under the old name; what was held under it is not carried over."""
        self.actor.spec, self.actor.local_state, self.renamed = spec, LocalState(), True

    # --- the baton ---

    def hand_over(self, ready_at: datetime) -> None:
        self.ready_at = ready_at
        self.back.release()
        self.go.acquire()
        if self.stage.calm:
            raise Stop

    def turn(self) -> None:
        """Called by the scheduler: let this player move until it hands over."""
        self.stage.playing = self
        if not self.is_alive() and not self.over:
            self.start()
        self.go.release()
        self.back.acquire()
        self.stage.playing = None

    def run(self) -> None:
        self.go.acquire()
        try:
            if not self.stage.calm:
                self.play()
        except Stop:
            pass
        except BaseException as error:  # noqa: BLE001  # whatever it is, the scheduler raises it on the main thread
            self.error = error
        self.over = True
        self.back.release()

    def play(self) -> None:
        while True:
            try:
                if self.renamed and self.stage.kv.get(EARLIER) and self.stage.fog.random() < 0.3:
                    self.removed_pass()
                outcome = self.one_pass()
                wake = outcome.wait.until - self.skew
                if outcome.wait.problem or outcome.error:
                    wake += self.stage.a_while()
            except Killed:
                self.die()
                wake = self.stage.time.now + self.stage.a_while()
            self.hand_over(wake)

    def removed_pass(self) -> None:
        """What a daemon does for the name that left its configuration."""
        try:
            ledger = self.stage.ledger(EARLIER_NAME)
        except LedgerUnreadable:
            return
        spec = removed_application(ledger, [self.actor.spec], organization_id="", max_clock_skew=30 * SECOND)
        passing = reconcile(spec, self.actor.context, LocalState())
        with contextlib.suppress(StopIteration):
            while True:
                self.hand_over(next(passing) - self.skew)

    def die(self) -> None:
        self.actor.restart()

    @property
    def skew(self) -> timedelta:
        clock = self.actor.context.clock
        assert isinstance(clock, ActorClock)
        return clock.skew

    def one_pass(self, request: RotationRequest | None = None) -> PassOutcome:
        passing = reconcile(self.actor.spec, self.actor.context, self.actor.local_state, request)
        while True:
            try:
                until = next(passing)
            except StopIteration as end:
                outcome: PassOutcome = end.value
                self.stage.tell(f"    waits until {outcome.wait.until:%d %H:%M:%S}: {outcome.wait.reason}")
                return outcome
            self.hand_over(until - self.skew)


class Command(Player):
    """A person at the command line: asks for rotations, or declares an emergency; when ``focused``, soon and mostly the latter."""

    def __init__(self, stage: Stage, name: str, spec: ApplicationSpec, *, focused: bool = False) -> None:
        super().__init__(stage, name, spec)
        self.focused = focused

    def play(self) -> None:
        dice = self.stage.dice
        while True:
            self.hand_over(self.stage.time.now + self.stage.a_while() + (not self.focused) * dice.random() * DAY)
            try:
                if dice.random() < (0.2 if self.focused else 0.5):
                    self.stage.tell("rotate")
                    self.ask(RotationRequest("asked", self.stage.published_key()))
                else:
                    self.emergency()
            except Killed:
                self.die()

    def ask(self, request: RotationRequest) -> None:
        for _ in range(self.stage.dice.randint(1, 8)):
            outcome = self.one_pass(request)
            if outcome.document and outcome.document.published != request.replaces:
                return
            self.hand_over(max(outcome.wait.until - self.skew, self.stage.time.now))

    def emergency(self) -> None:
        dice, vault = self.stage.dice, self.actor.context.vault
        for _ in range(5):
            try:
                ledger, version = vault.read_ledger(self.actor.spec.application)
                if ledger is None or ledger.successor or not self.stage.keys:
                    return
                document = vault.read_document(PATH, "access_key", "secret_key")
                everything = {document.published, *ledger.names()} - {None}
                keys = everything if dice.random() < 0.7 else {dice.choice(sorted(self.stage.keys))}
                if any(self.stage.keys[str(key)].key.bearer != BEARER for key in keys):
                    return
                self.stage.tell(f"rotate --compromised {[short(str(key)) for key in keys]}")
                marked = mark_compromised(
                    ledger,
                    [str(key) for key in keys],
                    reason="leaked",
                    by="ops",
                    at=self.actor.context.clock.now(),
                    incident=self.actor.context.clock.token(),
                    mode="replace_first",
                )
                vault.write_ledger(marked, cas=version)
            except RotatorError:
                self.hand_over(self.stage.time.now + SECOND)
                continue
            self.ask(RotationRequest("leaked", document.published))
            return
