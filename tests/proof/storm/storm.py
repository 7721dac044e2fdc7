"""The storm: two daemons, commands, consumers, three nodes of Vault and a provider that lies; everything is killed at random.

Then calm: what was late lands, every service is well, and within a bounded number of passes all must be at rest. Each choice
comes from one seed, and the moment of each is chosen by what has happened: by changes at the provider and by the attempts of
consumers. The processes themselves are as fast as the machine lets them be, so a seed gives the same choices in the same order,
not the same history.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from rotator.domain.marker import parse_marker
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import TIMEOUT
from tests.e2e.rig import Prober, Rig, can_be_elsewhere
from tests.proof.storm.commands import Command
from tests.proof.storm.network import Gate, Mood, Network
from tests.proof.storm.scribe import KEPT, Scribe
from tests.proof.storm.story import Told, story
from tests.proof.storm.vaults import Vaults
from tests.proof.storm.weather import Weather

APPLICATIONS = ("billing", "shop", "reports")
ACCOUNT, ITS_OWN = "other", "reports"
"""Another account than that of the rest, and its application."""
GRACE = timedelta(seconds=3)
PROOF = 0.4
"""Seconds from the first to the last success of a proof: three, 200 ms apart."""

SPEED = """
every = "{every}"
grace = "3s"  # many keys are to die within minutes
consumer_refresh = "1s"  # consumers read Vault before every call
resync_interval = "2s"  # the passes until rest are counted
# The successes lie as far apart as the gateways of the stand-in need to learn of a key.
verification = {{ successes = 3, interval = "200ms", timeout = "{proof}" }}
emergency_verification = {{ successes = 3, interval = "200ms", timeout = "{proof}" }}
publish_timeout = "{publish}"
stale_claim_timeout = "{takeover}"
"""
HASTY = {"proof": "6s", "publish": "5s", "takeover": "12s"}
PATIENT = {"proof": "60s", "publish": "120s", "takeover": "200s"}
"""For the person who rotates after the storm: however slow the machine is, that must work."""
DAEMON = 'workers = 4\nshutdown_timeout = "5s"'
"""A machine with two processors runs all of this; and a daemon that is stopped is to be back soon. All else is as shipped."""

MOST_PASSES = 60
"""Passes that one daemon may make over one application from the calm to the rest. It looks every two seconds, and what it may
have to wait for is bounded too: twelve seconds for a takeover, thirty after failures in an emergency, three of grace, a proof."""

GUST, PACES = 12, ((20, 60), (60, 150), (150, 400))
"""After so many disturbances the storm is fiercer or milder: how many beats may pass at most until the next."""

FREEZES = (1, 1, 1, 8)
"""How many times as long as another disturbance a daemon stays frozen."""

FEWEST_BEATS, MOST_BEATS = 20, 250
"""How long a disturbance lasts: in the storm's own clock, where a good second has some hundred beats."""

MOST_COMMANDS = 3
"""Commands at once; a machine has only so many processors."""


class Violation(AssertionError):
    """Something that must always hold did not; with the story of it."""


@dataclass(frozen=True)
class Trouble:
    """Something that was disturbed, when it is to end, and how."""

    until: int
    what: str
    mend: Callable[[], object]


@dataclass
class Figures:
    """What happened in one storm."""

    two_machines: bool = False
    disturbances: Counter[str] = field(default_factory=Counter)
    rotations: int = 0
    deaths: int = 0
    marks: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    calls: int = 0
    stale_reads: int = 0
    passes_to_rest: int = 0
    seconds_to_rest: float = 0

    def lines(self) -> list[tuple[str, str]]:
        """The figures for a person, each with its name."""
        kills = ", ".join(f"{count} {who}" for who, count in sorted(self.kills.items())) or "none"
        commands = ", ".join(f"{count} {what}" for what, count in sorted(self.commands.items())) or "none"
        machines = (
            "in a process namespace of its own, as on another machine" if self.two_machines else "on the same machine"
        )
        return [
            ("second daemon", machines),
            ("disturbances", f"{self.disturbances.total()} of {len(self.disturbances)} kinds"),
            (
                "rotations",
                f"{self.rotations} published, {self.deaths} keys revoked, {self.marks} of them marked compromised",
            ),
            ("kill -9", kills),
            ("commands", commands),
            ("faults", f"{self.faults} calls of the provider answered wrongly, late or not at all"),
            (
                "consumers",
                f"{self.calls} calls, 0 refused with a key in force; {self.stale_reads} with a key read from a stale node",
            ),
            ("rest", f"within {self.passes_to_rest} passes of one daemon over one application (at most {MOST_PASSES})"),
        ]


class Storm:
    """Enter it to set everything up; ``rage`` for a while, then ``settle``. Raises ``Violation`` as soon as one is seen."""

    def __init__(self, seed: int, *, brief: bool = False) -> None:
        """A ``brief`` storm has no gusts and nothing in it that takes long."""
        self.seed = seed
        self.paces = PACES[1:2] if brief else PACES
        self.freezes = (1,) if brief else FREEZES
        self.chance = random.Random(seed)
        self.figures = Figures()
        self.told = Told()
        self.troubles: list[Trouble] = []
        self.commands: list[Command] = []
        self.stack = contextlib.ExitStack()
        self.issued: set[str] = set()
        self.probers: list[Prober] = []
        self.begun = time.monotonic()
        self.pace = self.paces[0]

    def __enter__(self) -> Self:
        with self.stack:
            network = self.stack.enter_context(Network())
            self.vaults = Vaults(network)
            self.rig = self.stack.enter_context(StormRig(self.vaults))
            self.scribe = Scribe(self.rig, GRACE, self.vaults.reachable)
            self.weather = Weather(self.rig.scaleway, self.chance, PROOF)
            self.rig.vault.admin("POST", "secret/config", {"max_versions": KEPT})
            key = self.rig.another_account(ACCOUNT)
            for name in APPLICATIONS:
                self.rig.application(name, account=ACCOUNT if name == ITS_OWN else "")
            self.weather.other = key
            self.strangers = [
                self.rig.scaleway.create_key(bearer, description="terraform")[0] for bearer in self.rig.bearers.values()
            ]
            nodes = self.rig.nodes
            self.gates = {
                who: network.gate(_place(node)) for who, node in zip(("one", "two", "person"), nodes, strict=True)
            }
            self.scribe.collect()
            self.told.tell(self.weather.change())
            self.configure(calm=False)
            # The second daemon is as on another machine, where that can be had: nobody sees it end, it sees nobody end.
            self.figures.two_machines = can_be_elsewhere()
            for name, elsewhere in (("one", False), ("two", self.figures.two_machines)):
                place = self.rig.directory / f"{name}.toml"
                self.rig.daemon(name, configuration=place, level="debug", elsewhere=elsewhere)
            self.daemons = self.rig.daemons
            for name in APPLICATIONS:
                prober = Prober(self.rig, name, timeout=1)
                prober.start()
                self.probers.append(prober)
                self.stack.callback(prober.end)
            self.vaults.be_patient(1)
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def configure(self, *, calm: bool) -> None:
        """Every client has a configuration of its own, because it reaches Vault in its own way."""
        for who, gate in self.gates.items():
            patience = PATIENT if calm and who == "person" else HASTY
            self.rig.configure(
                SPEED.format(every="1h" if calm else "4s", **patience),
                daemon=DAEMON,
                address=f"http://{gate.address}",
                to=self.rig.directory / f"{who}.toml",
                timeout="30s" if calm else "4s",
            )

    def rotations(self) -> int:
        """How many keys were published so far, beside the first of each application."""
        return sum(len({one.access_key for one in found}) - 1 for found in self.scribe.published.values())

    def glance(self) -> str:
        """How far it is, in one line."""
        figures, calls = self.figures, sum(prober.calls for prober in self.probers)
        return (
            f"{figures.disturbances.total()} disturbances, {figures.kills.total()} kills, {figures.commands.total()} commands,"
            f" {self.rotations()} rotations, {calls} calls of consumers, 0 violations"
        )

    # --- the storm ---------------------------------------------------------------------------------------------------------

    def rage(self, enough: Callable[[], bool]) -> None:
        """Disturb, and mend what was disturbed, until that is enough."""
        while not enough():
            self.wait_a_little()
            for trouble in [trouble for trouble in self.troubles if trouble.until <= self.beats()]:
                self.end(trouble)
            self.disturb()
            self.check()

    def wait_a_little(self) -> None:
        """Until something changed at the provider, or consumers have tried for a while."""
        changes, beats = (
            self.scribe.changes() + self.chance.choice((1, 1, 1, 2, 3)),
            self.beats() + self.chance.choice((15, 40, 100)),
        )
        while self.scribe.changes() < changes and self.beats() < beats:
            time.sleep(0.01)

    def beats(self) -> int:
        """The clock of the storm: how often consumers have tried, and a few for each second, for they cannot when all is down."""
        return sum(prober.attempts for prober in self.probers) + int(25 * (time.monotonic() - self.begun))

    def disturb(self) -> None:
        """One more thing goes wrong."""
        kinds: list[tuple[int, Callable[[], str | None]]] = [
            (5, self.kill_daemon),
            (3, self.freeze_daemon),
            (1, self.stop_daemon),
            (1, self.reload_daemon),
            (5, self.start_command),
            (3, self.kill_command),
            (3, self.trouble_node),
            (1, self.trouble_majority),
            (2, self.depose_leader),
            (2, self.shut_gate),
            (3, self.deafen_gate),
            (2, self.turn_gate),
            (10, self.fault),
            (3, self.change_weather),
            (1, self.throttle),
            (1, self.fill),
            (2, self.release),
            (2, self.trouble_account),
        ]
        kind = self.chance.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]
        what = kind()
        if what:
            self.figures.disturbances[kind.__name__] += 1
            self.told.tell(what)

    def later(self, what: str, mend: Callable[[], object], times: int = 1) -> None:
        """Have something mended after a while, or after that many times as long."""
        until = self.beats() + self.chance.randrange(FEWEST_BEATS, MOST_BEATS) * times
        self.troubles.append(Trouble(until, what, mend))

    def end(self, trouble: Trouble) -> None:
        """Mend something."""
        self.told.tell(f"{trouble.what} no more")
        self.troubles.remove(trouble)
        trouble.mend()

    # --- daemons and commands ---

    def kill_daemon(self) -> str:
        daemon = self.chance.choice(self.daemons)
        daemon.end(signal.SIGKILL)
        self.figures.kills["daemons"] += 1
        if self.chance.random() < 0.6:
            daemon.start()
            return f"kill -9 of daemon {daemon.name}, and a start"
        self.later(f"daemon {daemon.name} down", lambda: daemon.alive() or daemon.start())
        return f"kill -9 of daemon {daemon.name}"

    def freeze_daemon(self) -> str:
        daemon = self.chance.choice(self.daemons)
        daemon.send(signal.SIGSTOP)
        # At times for so long that what it began is taken over, and it goes on in the belief that nothing has happened.
        self.later(
            f"daemon {daemon.name} frozen", lambda: daemon.send(signal.SIGCONT), self.chance.choice(self.freezes)
        )
        return f"daemon {daemon.name} freezes"

    def stop_daemon(self) -> str:
        daemon = self.chance.choice(self.daemons)
        daemon.end(signal.SIGTERM)
        daemon.start()
        return f"daemon {daemon.name} is restarted in good order"

    def reload_daemon(self) -> str:
        daemon = self.chance.choice(self.daemons)
        daemon.send(signal.SIGHUP)
        return f"daemon {daemon.name} reads its configuration again"

    def start_command(self) -> str | None:
        if sum(command.process.alive() for command in self.commands) >= MOST_COMMANDS:
            return None
        name = self.chance.choice(APPLICATIONS)
        reason = f"storm {self.figures.commands.total()}"
        words = self.chance.choice(
            (
                ("rotate", name),
                ("rotate", name),
                ("rotate", name, "--compromised", "--reason", reason),
                ("rotate", name, "--compromised", "--reason", reason),
                ("status",),
                ("plan", name),
            )
        )
        return f"{self.launch(*words)} begins"

    def launch(self, *words: str) -> Command:
        command = Command(self.rig, self.figures.commands.total(), words)
        self.commands.append(command)
        self.issued.update(words[words.index("--reason") + 1 :] if "--reason" in words else ())
        self.figures.commands[f"{words[0]} --compromised" if "--compromised" in words else words[0]] += 1
        return command

    def kill_command(self) -> str | None:
        alive = [command for command in self.commands if command.process.alive()]
        if not alive:
            return None
        command = self.chance.choice(alive)
        command.process.end(signal.SIGKILL)
        self.figures.kills["commands"] += 1
        return f"kill -9 of {command}"

    # --- Vault ---

    def trouble_node(self) -> str | None:
        well = self.vaults.well()
        if len(well) < len(self.vaults.nodes):
            return None  # one at a time: the others go on
        leader = self.vaults.leader()
        return self.hurt(leader if leader and self.chance.random() < 0.6 else self.chance.choice(well))

    def trouble_majority(self) -> str | None:
        """Two nodes, or all three: nobody can write any more."""
        well = self.vaults.well()
        return (
            "; ".join(map(self.hurt, self.chance.sample(well, self.chance.choice((2, 3))))) if len(well) == 3 else None
        )

    def hurt(self, node: OpenBao) -> str:
        harm = self.chance.choice(
            (self.vaults.freeze, self.vaults.freeze, self.vaults.kill, self.vaults.cut_off, self.vaults.seal)
        )
        harm(node)
        if harm == self.vaults.kill:
            self.figures.kills["nodes"] += 1
        self.later(f"{node.name} {harm.__name__}", lambda: self.vaults.mend(node))
        return f"{node.name}: {harm.__name__}"

    def depose_leader(self) -> str | None:
        leader = self.vaults.leader()
        if leader is None:
            return None
        self.vaults.depose(leader)
        return f"{leader.name} steps down"

    # --- the ways to Vault ---

    def shut_gate(self) -> str:
        return self.change_gate(Mood.SHUT)

    def deafen_gate(self) -> str:
        return self.change_gate(Mood.DEAF)

    def change_gate(self, mood: Mood) -> str:
        who, gate = self.chance.choice(list(self.gates.items()))
        gate.become(mood)
        self.later(f"the way from {who} to Vault {mood.value}", lambda: gate.become(Mood.OPEN))
        return f"the way from {who} to Vault is {mood.value}"

    def turn_gate(self) -> str:
        who, gate = self.chance.choice(list(self.gates.items()))
        return self.turn(who, gate, self.chance.choice(self.vaults.nodes))

    def turn(self, who: str, gate: Gate, node: OpenBao) -> str:
        gate.lead(_place(node))
        return f"the way from {who} to Vault leads to {node.name}"

    # --- the provider ---

    def fault(self) -> str:
        return self.weather.fault()

    def change_weather(self) -> str:
        return self.weather.change()

    def throttle(self) -> str:
        self.weather.throttle(on=True)
        self.later("the provider throttles", lambda: self.weather.throttle(on=False))
        return "the provider throttles"

    def trouble_account(self) -> str:
        """One of the two accounts hangs or fails in everything, for daemons and commands alike; the other goes on."""
        what, end = self.weather.trouble()
        self.later("one account in trouble", end, self.chance.choice(self.freezes))
        return what

    def fill(self) -> str:
        self.weather.fill(on=True)
        self.later("the organisation is full", lambda: self.weather.fill(on=False))
        return "the organisation is full"

    def release(self) -> str:
        return self.weather.release()

    # --- calm --------------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything is well again: it must come to rest, rotate once more on request, and come to rest again."""
        self.told.tell("calm")
        for trouble in list(self.troubles):
            self.end(trouble)
        self.vaults.be_patient(10)
        self.told.tell(self.weather.clear())
        for (who, gate), node in zip(self.gates.items(), self.vaults.nodes, strict=True):
            self.told.tell(self.turn(who, gate, node))
        self.configure(calm=True)
        reloaded, restarted = self.chance.sample(self.daemons, 2)
        reloaded.send(signal.SIGHUP)
        restarted.end(signal.SIGTERM)
        restarted.start()
        begun, logs = datetime.now(UTC), self.log_sizes()
        self.wait("the commands are over", lambda: not any(command.process.alive() for command in self.commands))
        self.check()
        self.wait_for_rest(logs)
        # What may be a leftover can only be told when the document moves on, so a person rotates once more; it must work.
        logs = self.log_sizes()
        for name in APPLICATIONS:
            command = self.launch("rotate", name, "--reason", "after the storm")
            self.wait(f"{command} is over", lambda command=command: not command.process.alive())  # type: ignore[misc]  # bound on purpose
            if command.process.exit_code != 0:
                self.fail(f"I7: {command} failed in the calm: {command.said()}", name)
        self.wait_for_rest(logs)
        self.figures.seconds_to_rest = (datetime.now(UTC) - begun).total_seconds()
        for prober in self.probers:
            prober.end()
        self.check()
        self.check_rest()

    def log_sizes(self) -> dict[str, int]:
        return {daemon.name: daemon.log.stat().st_size for daemon in self.daemons}

    def wait_for_rest(self, begun: dict[str, int]) -> None:
        """Until every ledger is at rest, within so many passes of each daemon since its log was so long."""
        for name in APPLICATIONS:
            known, since = 0, time.monotonic()
            while not self.rig.at_rest(name):
                passes = self.passes(name, begun)
                if passes > MOST_PASSES:
                    self.fail(
                        f"I7: {name} is not at rest after {passes} passes of a daemon: {self.rig.ledger(name)}", name
                    )
                if passes > known:
                    known, since = passes, time.monotonic()
                if time.monotonic() - since > TIMEOUT:
                    self.fail(
                        f"I7: nobody has looked at {name} for {TIMEOUT:.0f} s, and it is not at rest: {self.rig.ledger(name)}",
                        name,
                    )
                self.check()
                time.sleep(0.2)
            self.figures.passes_to_rest = max(self.figures.passes_to_rest, self.passes(name, begun))

    def passes(self, name: str, since: dict[str, int]) -> int:
        """How often the busier of the two daemons has looked at an application since its log was so long."""
        return max(
            sum(
                bool(line.get("event") in ("pass.decided", "pass.failed") and line.get("application") == name)
                for line in daemon.events(since[daemon.name])
            )
            for daemon in self.daemons
        )

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > end:
                self.fail(f"waited {TIMEOUT:.0f} s in vain until {what}")
            time.sleep(0.05)

    # --- the verdict -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Everything that can be judged now, from what truly happened so far."""
        self.scribe.collect()
        for name in APPLICATIONS:
            for found in self.scribe.truth(name).violations():
                self.fail(found, name)
            for reason in self.scribe.reasons[name] - self.issued:
                self.fail(f"{name} has a mark that nobody ordered: {reason}", name)
        for prober in self.probers:
            for refusal in [refusal for refusal in prober.refusals if refusal.refused_at <= self.scribe.moment]:
                if blame := self.scribe.truth(prober.application).blame(refusal):
                    self.fail(blame, prober.application)
                prober.refusals.remove(refusal)
                self.figures.stale_reads += refusal.access_key not in self.scribe.marked[prober.application]
        for command in [command for command in self.commands if not command.process.alive()]:
            self.commands.remove(command)
            self.told.tell(f"{command} ended with {command.process.exit_code}")
            for found in command.violations(self.scribe):
                self.fail(found)
        for line in [line for daemon in self.daemons for line in self.scribe.hear(daemon)]:
            if lie := self.scribe.lie(line):
                self.fail(lie, line.get("application", ""))
        for leak in self.scribe.leaks:
            self.fail(leak)
        for stranger in self.strangers:
            if not self.rig.scaleway.accepts(stranger):
                self.fail(f"I5: the stranger {stranger} is gone")

    def check_rest(self) -> None:
        """I1, I4, I5 and I6 at rest."""
        figures = self.figures
        for name in APPLICATIONS:
            try:
                self.rig.check_rest(name)
            except AssertionError as wrong:
                self.fail(str(wrong), name)
            ledger = self.rig.ledger(name)
            if ledger["problem"] or ledger["failures"]:
                self.fail(
                    f"I7: {name} is at rest and in trouble: {ledger['problem']}, {ledger['failures']} failures", name
                )
            markers = [
                parse_marker(key.description) for key in self.rig.scaleway.keys(self.rig.bearers[name], deleted=True)
            ]
            attempts = Counter(marker.rotation for marker in markers if marker)
            if twice := [rotation for rotation, keys in attempts.items() if keys > 1]:
                self.fail(f"rule 3: {name} has several keys of one rotation: {twice}", name)
            truth = self.scribe.truth(name)
            living = {key.access_key for key in self.rig.scaleway.keys(self.rig.bearers[name])}
            if alive := truth.marked.keys() & living:
                self.fail(f"I3: {alive} of {name} were marked compromised and live", name)
            figures.deaths += len(truth.revocations)
            figures.marks += len(truth.marked)
        printed = [
            path.read_text() for pattern in ("*.out", "*.err", "*.toml") for path in self.rig.directory.glob(pattern)
        ]
        try:
            self.rig.check_no_secret(*printed)
        except AssertionError as wrong:
            self.fail(str(wrong))
        if any("Traceback" in daemon.log.read_text() for daemon in self.daemons):
            self.fail("a daemon printed a traceback")
        figures.rotations = self.rotations()
        figures.calls = sum(prober.calls for prober in self.probers)
        figures.faults = sum(event.kind == "faulted" for event in self.scribe.events)

    def fail(self, what: str, name: str = "") -> None:
        """End it, with the story of the last minute; the whole is in a file."""
        whole = self.rig.directory / "story.txt"
        whole.write_text("\n".join(story(self.rig, self.scribe, self.told)))
        since = datetime.now(UTC) - timedelta(seconds=45)
        late = "\n".join(story(self.rig, self.scribe, self.told, since=since, about=name))
        raise Violation(
            f"{what}\n\nseed {self.seed}; the last 45 seconds (everything is in {whole}):\n{late}\n\n{what}; seed {self.seed}"
        )


class StormRig(Rig):
    """A rig whose Vault is a cluster with gates between its nodes."""

    def __init__(self, vaults: Vaults) -> None:
        super().__init__(size=3)
        self.vaults = vaults

    def between(self, node: OpenBao) -> None:
        self.vaults.between(node)


def _place(node: OpenBao) -> str:
    return node.address.partition("//")[2]


__all__ = ["APPLICATIONS", "Figures", "Storm", "Violation"]
