"""Histories of a fleet: the daemon's own engine over two accounts and several applications each, in simulated time.

One integer makes one history. Up to two daemons, and rounds of ``run --once``, work on one configuration with the shipped defaults
for all that it does not say. A person renames, moves, swaps, removes and brings back applications; processes learn of it when they reload
or start anew. Calls interleave, hang and keep their workers, fail, lose their answers and land late; clocks are set between two calls. The
``Monitor`` judges every write. Then all services are calm but one account's: no application of the other is late, and an emergency there
is contained at once. Then everything is calm, and every application comes to rest.

``python -m tests.histories COUNT START --fleet`` tries so many of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.daemon.services import VAULT
from rotator.domain.due_time import contains, due, next_open
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.operations.commands import contain as containment
from tests.histories.fleet_world import (
    ACCOUNTS,
    DAY,
    HOUR,
    KINDS,
    MINUTE,
    SECOND,
    Chances,
    Process,
    Runtime,
    Trouble,
    Violated,
    World,
    simulated_time,
    spec_of_kind,
)
from tests.support.simulated import Time

DATES = 2 * SECOND
"""By how much a grace may be shorter where a clock is off by less than ``max_clock_skew``: the dates of answers are whole seconds, so what is
known of another clock may be wrong by one at the beginning and by one at the end (fleet 21011)."""

LATE = 15 * MINUTE
"""How long after its last moment a rotation ends at most, with calm services, whatever becomes of processes and of other accounts: a
process that was killed at one on another machine leaves a claim that counts for ten minutes."""

CONTAINED = 2 * MINUTE
"""How long an emergency takes at most where Vault and its own account are well."""

MOST_WRITES, FOR_EACH_KEY = 40, 12
"""Versions of one ledger that a calm day may bring, and how many more for each key: processes that disagree do not write by turns."""


@dataclass
class Application:
    """One application, whatever it is called: its bearer stays."""

    spec: ApplicationSpec
    number: int
    present: bool = True
    spoiled: ApplicationSpec | None = None
    """What the configuration says of it instead, until a person sees that it is blocked and puts it right."""
    old_documents: tuple[str, ...] = ()


class FleetHistory:
    """One history, from its number to its rest."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        dice = self.dice = random.Random(f"fleet {seed}")
        self.world = World(time=Time(), dice=dice)
        self.applications = [self.application(number) for number in range(dice.randint(2, 5))]
        self.world.check()
        self.processes = [Process(self.world, "daemon-1", "here")]
        if dice.random() < 0.6:
            self.processes.append(Process(self.world, "daemon-2", dice.choice(["here", "there"])))
        self.cron = Process(self.world, "cron", "here") if dice.random() < 0.3 else None
        self.commands = Process(self.world, "command", "there")
        self.emergencies: list[str] = []
        self.judged_since: dict[str, datetime] = {}

    def application(self, number: int) -> Application:
        """An application as it is before anything runs: with a key that somebody published long ago, or without."""
        dice, world = self.dice, self.world
        account, name = ACCOUNTS[number % 2], f"app-{number}"
        changes = {"application": name, "account": account, "bearer": f"bearer-{number}", "path": f"secret/apps/{name}"}
        spec = replace(spec_of_kind(dice.choice(KINDS)), resync_interval=dice.choice([15, 60]) * MINUTE, **changes)  # type: ignore[arg-type]  # fields by their names
        world.accounts[account].bearers.add(spec.bearer)
        world.monitor.graces[spec.bearer] = spec.grace - DATES
        if dice.random() < 0.7:
            age = dice.random() * 12 * HOUR
            expires = world.time.now - age + DAY if spec.lifetime else None
            key, secret = world.make_key(bearer=spec.bearer, created=world.time.now - age, expires=expires)
            self.write(spec.path, {"access_key": key.access_key, "secret_key": secret.reveal()})
        if dice.random() < 0.3:
            stranger, _ = world.make_key("somebody else's", bearer=spec.bearer)
            world.monitor.strangers.add(stranger.access_key)
        return Application(spec, number)

    def write(self, path: str, data: dict[str, str]) -> None:
        """A person writes a document."""
        where = "doc:" + path
        self.world.monitor.hand_written.add((where, len(self.world.kv.get(where, [])) + 1))
        self.world.append(where, data)

    def configuration(self) -> dict[str, ApplicationSpec]:
        """What the file says now."""
        found = [one.spoiled or one.spec for one in self.applications if one.present]
        return {spec.application: spec for spec in found}

    def run(self) -> None:
        try:
            with simulated_time(self.world):
                try:
                    self.chaos()
                    self.one_in_trouble()
                    self.calm()
                    self.rest()
                finally:
                    self.world.clockwork.close()
        except (AssertionError, Violated) as error:
            story = "\n".join(self.world.story[-150:])
            raise AssertionError(f"{error}\nfleet history {self.seed}\n{self.world.chances}\n{story}") from error

    # --- chaos ---

    def chaos(self) -> None:
        """Everything goes wrong for a day or so."""
        world, dice = self.world, self.dice
        world.chances = Chances.of(dice)
        for process in self.processes:
            process.start(self.configuration())
        world.troubles = {}
        usual = [self.restart, self.restart, self.deploy, self.trouble, self.set_clock]
        rare = [self.rename, self.move, self.swap, self.remove, self.spoil, self.emergency, self.put_right]
        chosen = usual + [action for action in rare if dice.random() < 0.5]
        pace = dice.choice([10, 40, 120]) * MINUTE
        end = world.time.now + dice.uniform(4, 30) * HOUR
        while world.time.now < end:
            world.clockwork.run_until(world.time.now + dice.random() * pace)
            dice.choice(chosen)()
            if self.cron and not self.cron.alive and dice.random() < 0.5:
                self.cron.start(self.configuration(), once=True)

    def restart(self) -> None:
        """A process is killed or stopped, and starts soon, or not so soon; one that is down starts."""
        process = self.dice.choice(self.processes)
        if process.alive:
            process.kill() if self.dice.random() < 0.5 else process.stop()
            self.world.tell(f"{process.name} ends")
        self.world.clockwork.after(31 * SECOND + self.a_while(), lambda: self.revive(process))

    def revive(self, process: Process) -> None:
        if not process.alive:
            process.start(self.configuration())

    def a_while(self) -> timedelta:
        return self.dice.choice([SECOND, SECOND, MINUTE, HOUR]) * self.dice.random()

    def deploy(self) -> None:
        """The configuration reaches some of the processes."""
        for process in self.processes:
            if self.dice.random() < 0.7:
                process.reload(self.configuration())

    def trouble(self) -> None:
        service = self.dice.choice([VAULT, *ACCOUNTS])
        until = self.world.time.now + self.dice.choice([MINUTE, 10 * MINUTE, HOUR]) * self.dice.random()
        self.world.troubles[service] = Trouble(until, self.dice.choice([0.3, 1]), self.dice.random() < 0.6)
        self.world.tell(f"{self.world.troubles[service]} of {service}")

    def set_clock(self) -> None:
        self.dice.choice(self.processes).set_clock(self.dice.choice([0, 0, 20, -20, 60, -60, 5000, -5000]) * SECOND)

    def rename(self) -> None:
        """The same bearer and the same document under a new name."""
        self.change(path=False)

    def move(self) -> None:
        """A new name and a new document; what is at the old place stays there until its consumers have moved."""
        self.change(path=True)

    def change(self, *, path: bool) -> None:
        one = self.dice.choice(self.applications)
        if one.spoiled or not one.present:
            return
        one.number += 100
        name = f"app-{one.number}"
        if path:
            one.old_documents += (one.spec.path,)
        one.spec = replace(one.spec, application=name, path=f"secret/apps/{name}" if path else one.spec.path)
        self.world.tell(f"the configuration names {name} at {one.spec.path} now")

    def swap(self) -> None:
        """Two applications get each other's name; their ledgers know better."""
        one, other = self.dice.sample(self.applications, 2)
        if self.known(one) and self.known(other):
            names = one.spec.application, other.spec.application
            one.spoiled, other.spoiled = (
                replace(one.spec, application=names[1]),
                replace(other.spec, application=names[0]),
            )
            self.world.tell(f"the names {names} are swapped")

    def spoil(self) -> None:
        """Another document or another bearer under a name whose ledger knows better."""
        one = self.dice.choice(self.applications)
        if self.known(one):
            other = self.dice.choice(["path", "bearer"])
            one.spoiled = replace(one.spec, **{other: getattr(one.spec, other) + "-other"})
            self.world.accounts[one.spec.account].bearers.add(one.spec.bearer + "-other")
            self.world.tell(f"another {other} for {one.spec.application}")

    def known(self, one: Application) -> bool:
        """Whether it is configured as it should be, and has a ledger under its name."""
        return one.present and not one.spoiled and self.ledger(one) is not None

    def put_right(self) -> None:
        """A person puts back what is blocked."""
        for one in self.applications:
            one.spoiled, one.present = None, True
        self.world.tell("the configuration is put right")

    def remove(self) -> None:
        one = self.dice.choice(self.applications)
        if not one.spoiled:
            one.present = not one.present
            self.world.tell(f"{one.spec.application} is in the configuration: {one.present}")

    def emergency(self) -> None:
        """`rotate --compromised`, by the configuration as it is now."""
        one = self.dice.choice(self.applications)
        if one.present and not one.spoiled:
            self.contain(one, lambda code: None)

    def contain(self, one: Application, ended: Callable[[int], None]) -> None:
        if not self.commands.alive:
            self.commands.live()
        runtime = Runtime(self.commands, self.configuration())
        spec = one.spec

        def sleep(until: datetime) -> None:
            self.world.clockwork.pause(max(until - self.commands.now(), timedelta(0)))

        def command() -> None:
            self.world.tell(f"rotate {spec.application} --compromised")
            order = containment.CompromiseRequest("leaked", "somebody")
            result = containment.contain(spec, runtime.context(spec), sleep, order)
            self.world.tell(f"rotate {spec.application} --compromised: {result.exit_code} {result.message}")
            ended(result.exit_code)

        self.commands.begin(command)

    # --- one account in trouble, and calm ---

    def one_in_trouble(self) -> None:
        """Nothing is wrong any more but with one account; processes are restarted all the time all the same."""
        self.settle()
        sick, well = self.dice.sample(ACCOUNTS, 2)
        world, dice = self.world, self.dice
        world.troubles = {sick: Trouble(world.time.now + 5 * HOUR, 1, dice.random() < 0.7)}
        world.tell(f"--- only {sick} is in trouble: {world.troubles[sick]} ---")
        healthy = [one for one in self.applications if one.spec.account == well]
        begun, uptime = world.time.now, dice.choice([20 * MINUTE, 3 * HOUR])
        marked = dice.choice(healthy) if healthy and dice.random() < 0.7 else None
        answers: list[tuple[timedelta, int]] = []
        if marked:
            asked = begun + HOUR

            def ended(code: int) -> None:
                answers.append((world.time.now - asked, code))

            world.clockwork.at(asked, lambda: self.contain(marked, ended))
        self.judged(healthy, begun, 4 * HOUR, uptime)
        if marked:
            assert answers, f"I3: {marked.spec.application} was not contained in hours, though its account was well"
            took, code = answers[0]
            assert code == 0, f"I3: {marked.spec.application} was not contained, though its account was well: {code}"
            assert took <= CONTAINED, f"I3: it took {took} to contain {marked.spec.application}, whose account was well"

    def calm(self) -> None:
        """Nothing is wrong; only one clock stays off in some histories, so that two processes do not see the same."""
        world = self.world
        world.troubles = {}
        world.tell("--- calm ---")
        self.settle()
        if len(self.processes) == 2 and self.dice.random() < 0.5:
            self.processes[1].set_clock(self.dice.choice([60, -60]) * SECOND)
        before = {where: len(versions) for where, versions in world.kv.items()}
        keys = len(world.keys)
        self.judged(self.applications, world.time.now, 12 * HOUR, self.dice.choice([20 * MINUTE, 6 * HOUR]))
        keys = len(world.keys) - keys
        for one in self.applications:
            where = "ledger:" + one.spec.application
            written = len(world.kv.get(where, [])) - before.get(where, 0)
            assert written <= MOST_WRITES + FOR_EACH_KEY * keys, (
                f"I7: {written} versions of {where} in half a day, and {keys} keys"
            )

    def settle(self) -> None:
        """The configuration is what it should be, every process has it, and every clock is true."""
        self.put_right()
        self.world.chances = Chances()
        self.world.troubles = {}
        for process in self.processes:
            process.set_clock(timedelta(0))
            process.kill() if process.alive and self.dice.random() < 0.3 else process.reload(self.configuration())
            self.revive(process)
        for one in self.applications:
            for path in one.old_documents:  # by now its consumers read the new one
                if self.world.kv.get("doc:" + path):
                    self.world.remove("doc:" + path)
                    self.world.monitor.forget("doc:" + path)
                    self.world.check()
            one.old_documents = ()

    def judged(self, applications: list[Application], begun: datetime, span: timedelta, uptime: timedelta) -> None:
        """Let daemons run, each restarted after so long, and look whether any of these applications is late (I7)."""
        world, dice = self.world, self.dice
        stop = dict.fromkeys((process.name for process in self.processes), world.time.now)
        while world.time.now < begun + span:
            for process in self.processes:
                if world.time.now >= stop[process.name]:
                    stop[process.name] = world.time.now + uptime * dice.uniform(0.5, 1.5)
                    process.stop()
                    world.clockwork.after(40 * SECOND, lambda process=process: self.revive(process))  # type: ignore[misc]  # bound on purpose
            world.clockwork.run_until(world.time.now + 5 * MINUTE)
            for one in applications:
                self.check_in_time(one, begun)

    def check_in_time(self, one: Application, begun: datetime) -> None:
        """What was late when this began has an hour to spread, from then on or from when its window opens."""
        spec, ledger, now = one.spec, self.ledger(one), self.world.time.now
        policy = due(spec, ledger.current) if ledger and ledger.current else None
        if ledger and ledger.problem and ledger.problem.reason == "too_many_keys":
            return  # it waits for graces that began when its former documents went
        if policy is None:
            assert now <= begun + HOUR + LATE, (
                f"I7: {spec.application} has no key that it made: {ledger and ledger.problem}"
            )
            return
        begins = max(policy.at, begun)
        spread = max(policy.spread, HOUR) + LATE
        if spec.window:
            begins = next_open(spec.window, begins, spec.timezone)
            if not contains(spec.window, begins + spread, spec.timezone):
                begins = next_open(spec.window, begins + spread, spec.timezone)
        if policy.deadline:
            begins = min(begins, max(policy.deadline, begun))
        assert now <= begins + spread, (
            f"I7: {spec.application} is due since {policy.at}, by {policy.deadline}: {ledger and ledger.problem}"
        )

    def ledger(self, one: Application) -> Ledger | None:
        return self.world.ledger(one.spec.application) if self.world.kv.get("ledger:" + one.spec.application) else None

    def rest(self) -> None:
        """Every application in turn has nothing left to do at some moment soon."""
        for one in self.applications:
            for _ in range(120):
                ledger = self.ledger(one)
                if ledger and not (ledger.intent or ledger.revoking or ledger.compromised):
                    break
                self.world.clockwork.run_until(self.world.time.now + MINUTE)
            ledger = self.ledger(one)
            assert ledger is not None, f"I7: {one.spec.application} has no ledger"
            assert not ledger.problem, f"not at rest: {ledger.problem}"
            self.world.monitor.check_rest(ledger)
