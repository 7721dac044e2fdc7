"""One history: chaos, calm, and rest."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.domain.due_time import due
from rotator.domain.marker import parse_marker
from rotator.reconciler.context import PassOutcome
from rotator.reconciler.runner import reconcile
from tests.histories.accidents import ACCIDENTS, RARE, TROUBLES, ledger_gone, ledger_repaired, stranger, undelete
from tests.histories.players import Command, Player
from tests.histories.stage import DOCUMENT, EARLIER, EARLIER_NAME, LEDGER, POLICY, WRITES, Stage, StageVault
from tests.histories.weather import DAY, HOUR, SECOND, Weather
from tests.support.simulated import ActorClock

FEWEST_TURNS, MOST_TURNS = 60, 400
MOST_CALM_PASSES = 400
MOST_CREATES_ASKED = 24
"""Keys that may be made within an hour in which a person asks for one every few seconds."""

PURPOSES = ("made by hand", "", "rotator:v2:", "rotator v1 installation=", "l'été des \N{KEY}s\n" * 15, "p" * 200)
"""What the description of the first key says: the keys that replace it carry that over."""


class History:
    """One history, from its number to its rest. A ``focused`` one begins without a document and has more emergencies."""

    def __init__(self, seed: int, *, focused: bool = False) -> None:
        self.seed = seed
        self.focused = focused
        self.dice = random.Random(seed)
        fog = random.Random(f"fog {seed}")
        self.stage = Stage(
            dice=self.dice,
            fog=fog,
            weather=Weather.of(self.dice, [name for name, _ in ACCIDENTS]).with_fog(fog, TROUBLES),
        )
        self.stage.time.tokens = iter(range(1 + seed % 7, 10**9))  # type: ignore[assignment]  # any iterator does
        if focused:
            self.stage.monitor.most_creates = MOST_CREATES_ASKED
        self.begin()
        self.names = random.Random(f"names {seed}")
        self.renaming = self.names.random() < 0.3
        spec = replace(POLICY, application=EARLIER_NAME) if self.renaming else POLICY
        names = ["daemon-1"] + ["daemon-2"] * (self.dice.random() < 0.6)
        self.players: list[Player] = [Player(self.stage, name, spec) for name in names]
        if self.dice.random() < 0.6:
            self.players.append(Command(self.stage, "command", spec, focused=focused))

    def begin(self) -> None:
        usual = ["adopted", "adopted", "adopted", "nothing", "other fields"]
        start = self.dice.choice(["nothing", "nothing", "other fields"] if self.focused else usual)
        for _ in range(self.dice.randint(0, 2)):
            stranger(self.stage)
        words = random.Random(f"words {self.seed}")
        self.stage.old_markers = words.random() < 0.4
        if start == "adopted":
            key, secret = self.stage.make_key(words.choice(PURPOSES))
            self.stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal(), "database": "kept"})
        elif start == "other fields":
            self.stage.hand_write({"database": "kept"})

    def run(self) -> None:
        try:
            self.chaos()
            self.settle()
            self.rest()
        except AssertionError as error:
            error.add_note(
                f"history {self.seed}{' (focused)' * self.focused}\n{self.stage.weather}\n"
                + "\n".join(self.stage.story[-150:])
            )
            raise
        finally:
            self.stop()

    # --- chaos ---

    def chaos(self) -> None:
        stage, dice = self.stage, self.dice
        actions = [(name, action) for name, action in ACCIDENTS if name in stage.weather.accidents]
        # The more often the baton changes hands, the less happens in a turn.
        for _ in range(dice.randint(10, int(FEWEST_TURNS + stage.weather.switch * MOST_TURNS))):
            player = min(self.players, key=lambda player: player.ready_at)
            stage.time.now = max(stage.time.now, player.ready_at)
            stage.land(stage.time.now)
            player.turn()
            if player.error:
                raise player.error
            if self.renaming and self.names.random() < 0.03:
                self.rename(self.names.choice(self.players))
            if actions and dice.random() < stage.weather.meddle:
                name, action = dice.choice(actions)
                if name not in RARE or dice.random() < 0.3:
                    action(stage)
            if stage.weather.troubles and stage.fog.random() < 0.05:
                stage.fog.choice(TROUBLES[stage.fog.choice(sorted(stage.weather.troubles))])(stage)
            if dice.random() < 0.02 and stage.weather.skews:
                clock = player.actor.context.clock
                assert isinstance(clock, ActorClock)
                clock.skew = dice.choice([0, 1, -1, 20, -20, 3000, -3000, 200_000, -(200_000)]) * SECOND
                stage.tell(f"the clock of {player.name} is off by {clock.skew}")

    def rename(self, player: Player) -> None:
        """A person gives the application another name in the configuration of this process, which reads it again."""
        if player.actor.spec.application == EARLIER_NAME:
            player.rename(POLICY)
            self.stage.tell(f"{player.name} has the application under its new name")

    def stop(self) -> None:
        self.stage.calm = True
        for player in self.players:
            if player.is_alive():
                player.turn()
                player.join(5)

    # --- calm ---

    def settle(self) -> None:
        """The faults stop. Who was in the middle of a pass is killed there; daemons start anew or go on with their memory."""
        stage = self.stage
        self.stop()
        stage.tell("--- calm ---")
        stage.sealed, stage.quota, stage.storm_until = False, None, None
        stage.activation, stage.lingering = timedelta(0), timedelta(0)
        stage.time.skew_provider = stage.time.skew_vault = timedelta(0)
        stage.old_markers = False  # by now every program is of this version
        ledger_repaired(stage)
        for player in self.players:
            self.rename(player)
        for player in self.players:
            clock = player.actor.context.clock
            assert isinstance(clock, ActorClock)
            clock.skew = timedelta(0)
            if self.dice.random() < 0.5 or isinstance(player, Command):
                player.actor.restart()
        for where in (EARLIER, LEDGER):
            self.release(where)
        latest = max((entry[0] for entry in stage.late), default=stage.time.now)
        stage.land(self.dice.choice([stage.time.now, latest]))

    def release(self, where: str) -> None:
        """A person resumes what is held, under whichever name."""
        versions = self.stage.kv.get(where, [])
        if versions and not (versions[-1].deleted or "damaged" in versions[-1].data):
            ledger = self.stage.ledger(where.removeprefix("ledger:"))
            if ledger.hold:
                StageVault(self.stage).write_ledger(replace(ledger, hold=None), cas=len(versions))

    def daemons(self) -> list[Player]:
        return [player for player in self.players if not isinstance(player, Command)]

    def rest(self) -> None:
        stage = self.stage
        end = stage.time.now + POLICY.every * 2 + POLICY.grace + DAY if POLICY.every else stage.time.now
        wakes = {player.name: stage.time.now for player in self.daemons()}
        idle, repairs = Counter[str](), 0
        outcomes: dict[str, PassOutcome] = {}
        restarts, troubled = random.Random(f"restarts {self.seed}"), stage.time.now
        for _ in range(MOST_CALM_PASSES):
            player = min(self.daemons(), key=lambda player: wakes[player.name])
            wake = wakes[player.name]
            if wake > end:
                break
            stage.time.now = max(stage.time.now, wake)
            stage.land(stage.time.now)
            stage.calls.clear()
            if restarts.random() < 0.5:
                player.actor.restart()
            outcome = outcomes[player.name] = self.calm_pass(player)
            wrote = not WRITES.isdisjoint(stage.calls)
            spins = outcome.wait.until - stage.time.now < SECOND and not wrote
            idle[player.name] = idle[player.name] + 1 if spins else 0
            assert idle[player.name] < 5, f"I7: {player.name} spins: {outcome.wait}"
            assert outcome.wait.until <= stage.time.now + POLICY.resync_interval, f"I7: nobody looks: {outcome.wait}"
            wakes[player.name] = outcome.wait.until
            if outcome.wait.problem or outcome.error or (outcome.ledger and outcome.ledger.failures):
                troubled = stage.time.now
            else:
                self.check_in_time(outcome, troubled)
            if outcome.wait.problem or outcome.error:
                wakes[player.name] += HOUR
                if repairs < 12 and self.repair(outcome, player):
                    repairs += 1
                    wakes = dict.fromkeys(wakes, stage.time.now)
        else:
            raise AssertionError(f"I7: no rest within {MOST_CALM_PASSES} passes: {outcomes}")
        stage.land(stage.time.now + 10 * DAY)
        self.check_rest(outcomes)

    def check_in_time(self, outcome: PassOutcome, troubled: datetime) -> None:
        """Whoever was restarted how often, no key is older than the policy allows; what was ``troubled`` until then has the
        spread from then on."""
        current = outcome.ledger.current if outcome.ledger else None
        policy = due(POLICY, current) if current else None
        if policy:
            latest = max(policy.latest, troubled + policy.spread) + HOUR / 2
            assert self.stage.time.now <= latest, f"I7: due since {policy.at}, and the daemon waits: {outcome.wait}"

    def calm_pass(self, player: Player) -> PassOutcome:
        """A pass, whose naps move the time on."""
        stage = self.stage
        stage.playing = player
        passing = reconcile(player.actor.spec, player.actor.context, player.actor.local_state)
        try:
            while True:
                try:
                    until = next(passing)
                except StopIteration as end:
                    outcome: PassOutcome = end.value
                    problem = outcome.wait.problem.message if outcome.wait.problem else outcome.wait.message
                    stage.tell(f"waits until {outcome.wait.until:%d %H:%M:%S}: {outcome.wait.reason}: {problem}")
                    return outcome
                stage.time.now = max(stage.time.now, until)
        finally:
            stage.playing = None

    def repair(self, outcome: PassOutcome, player: Player) -> bool:
        """A person does what the trouble's message says."""
        stage = self.stage
        reason = outcome.wait.reason
        if reason == "document_deleted":
            undelete(stage)
        elif reason in {"document_damaged", "secret_rejected", "foreign_key", "document_emptied"}:
            key, secret = stage.make_key()
            stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal()})
        elif reason == "superseded":
            stage.remove(LEDGER)
            stage.monitor.forget(LEDGER)
            stage.ledger_lost = True
        elif reason == "ledger_conflict":
            stage.remove(EARLIER)
            stage.monitor.forget(EARLIER)
            stage.ledger_lost = True
        elif reason == "orphan_ambiguous":
            for access_key in stage.usable():
                if parse_marker(stage.keys[access_key].key.description):
                    stage.hand_delete(access_key)
        elif reason in {"document_restored", "document_stale"} and stage.recreated:
            ledger_gone(stage)
            for other in self.daemons():
                other.die()
            version = len(stage.kv.get(DOCUMENT, []))
            for access_key in stage.usable():
                marker = parse_marker(stage.keys[access_key].key.description)
                if marker and marker.base > version:
                    stage.hand_delete(access_key)
        elif reason == "document_stale":
            raise AssertionError("stale, though nobody recreated the document")
        else:
            return False
        return True

    def check_rest(self, outcomes: dict[str, PassOutcome]) -> None:
        stage = self.stage
        troubles = {name: outcome.wait for name, outcome in outcomes.items() if outcome.wait.problem}
        assert not troubles, f"not at rest: {troubles}"
        stage.monitor.check()
        ledger = stage.ledger()
        if stage.ledger_lost and ledger.predecessor(EARLIER_NAME) is None:
            stage.monitor.forgotten |= {name for name in stage.usable() if made_under(EARLIER_NAME, stage, name)}
        stage.monitor.check_rest(ledger)
        for player in self.daemons():
            in_flight = player.actor.local_state.in_flight
            assert in_flight is None, "I6: a rotation is still held in memory"
        if not stage.ledger_lost:
            for access_key in stage.monitor.marked:
                assert not stage.live(access_key), f"I3: the compromised key {access_key} lives"


def made_under(application: str, stage: Stage, access_key: str) -> bool:
    """Whether the key bears the marker of that name."""
    marker = parse_marker(stage.keys[access_key].key.description)
    return marker is not None and marker.application == application
