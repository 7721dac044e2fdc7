"""One cell of the matrix: an application of its own, one accident at one call, and the verdict.

What happens is up to the scenarios: ``tests.proof.passes`` plays them within this process, where time costs nothing, and
``tests.proof.processes`` with real processes. Here is what they share: what is there at the beginning, and what must hold in
the end, judged by the ground truth.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from rotator.domain.marker import parse_marker
from tests.e2e.rig import Rig
from tests.proof.faults import ROWS, Call, Director, Plan, Row
from tests.proof.proxy import Proxy
from tests.support.provider_building import AUTHORITY

DEADLINE = timedelta(seconds=30)


class Bound(AssertionError):
    """A bound was not kept which only holds if nothing else went wrong than what was planned."""


class Cell:
    """One accident in one scenario. Without a plan nothing goes wrong, and the calls are recorded."""

    rows: ClassVar[tuple[Row, ...]] = ROWS
    """The accidents that this scenario is put through."""
    speed: ClassVar[str]
    """What the configuration says under [defaults]."""
    grace: ClassVar[timedelta]
    with_document: ClassVar[bool] = True
    """Whether a person once made a key by hand and published it."""

    def __init__(
        self, rig: Rig, name: str, plan: Plan | None = None, allowed: int | None = None, deadline: timedelta = DEADLINE
    ) -> None:
        self.rig, self.name = rig, name
        self.plan, self.allowed, self.deadline = plan, allowed, deadline
        self.director = Director(plan)
        self.file: Path = rig.directory / f"{name}.toml"
        self.first = ""
        self.second = ""
        self.marked: frozenset[str] = frozenset()
        self.keys_made = 0

    # --- what a scenario says -----------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Do what the scenario is about until nothing is left to do, whatever happens meanwhile."""
        raise NotImplementedError

    def end(self) -> None:
        """Stop everything that still runs."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """Everything that the program said."""
        raise NotImplementedError

    def showed(self, real: datetime) -> datetime:
        """What the program's clock showed at that moment."""
        return real

    @property
    def disturbed(self) -> bool:
        """Whether the machine was so slow that more went wrong than was planned."""
        return False

    @classmethod
    def concerns(cls, call: Call) -> bool:
        """Whether accidents are made of this call."""
        return True

    # --- from the beginning to the end --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Furnish, play, judge. Raises ``AssertionError`` for what must not be."""
        rig = self.rig
        with (
            Proxy("vault", rig.vault.address, self.director.serve) as vault,
            Proxy("scaleway", rig.scaleway.url, self.director.serve) as scaleway,
        ):
            self.director.proxies |= {"vault": vault, "scaleway": scaleway}
            self.furnish(vault.url, scaleway.url)
            try:
                self.play()
                self.judge()
            finally:
                self.end()
                self.keys_made = self.made()
                rig.scaleway.delete_application(
                    rig.bearers.pop(self.name)
                )  # the keys of a thousand cells are a long list

    def furnish(self, vault: str, scaleway: str) -> None:
        """An application with a key that is due, a stranger beside it, and a configuration that leads through the proxies."""
        rig, name, seconds = self.rig, self.name, f"{self.deadline.total_seconds():.0f}s"
        self.since = rig.scaleway.log[-1].index
        bearer = rig.application(name, with_key=self.with_document)
        if self.with_document:
            self.first = rig.published(name)
            key = rig.scaleway._state.live_key(self.first)
            assert key is not None
            key.created_at -= timedelta(days=31)
        self.stranger = rig.scaleway.create_key(bearer, description="terraform")[0]
        self.strange = self.stranger_as_it_is()
        rig.prefixes[name] = f"rotator/{name}"
        rig.configure(
            self.speed,
            daemon='startup_spread = "0s"',  # a key that is due is replaced in the first pass of a cell
            applications=[name],
            to=self.file,
            account=f'api_url = "{scaleway}"\ntimeout = "{seconds}"\nca_cert = "{AUTHORITY}"',
            address=vault,
            ledger=f"secret/rotator/{name}",
            timeout=seconds,
            ca_cert=str(AUTHORITY),  # of no use here, and quicker to read than the system's
        )

    # --- the verdict ----------------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """DESIGN.md I1 to I6, from the stand-in's own log and from the versions in Vault."""
        rig, name = self.rig, self.name
        rig.check_rest(name)
        rig.check_history(
            name, self.grace.total_seconds(), compromised=self.marked, since=self.since, clock=self.showed
        )
        for old in {self.first, self.second} - {""}:
            assert not rig.scaleway.accepts(old), f"the replaced key {old} lives"
        assert self.strange == self.stranger_as_it_is(), "I5: the stranger is not as it was"
        self.check_posts()
        self.check_versions()
        self.check_secrets()
        if self.plan and not self.director.fired:
            raise Bound("the accident never happened")
        if self.allowed is not None and self.made() > self.allowed:
            raise Bound(f"{self.made()} keys were made, and at most {self.allowed} should have been")

    def check_contained(self) -> None:
        """I3 and I8, to be called when "contained" was said."""
        for key in self.marked:
            assert not self.rig.scaleway.accepts(key), f"I3: {key} is called contained and lives"
        assert self.rig.published(self.name) not in self.marked, "I3: called contained, and still published"

    def check_posts(self) -> None:
        """Rule 3: one POST for one rotation, also of those that never arrived."""
        sent: Counter[str] = Counter()
        for visit in self.director.visits:
            if visit.service == "scaleway" and visit.method == "POST":
                marker = parse_marker(json.loads(visit.body)["description"])
                assert marker is not None, "a key was asked for without our marker"
                sent[marker.rotation] += 1
        twice = [rotation for rotation, times in sent.items() if times > 1]
        assert not twice, f"rule 3: POST was sent twice for rotation {', '.join(twice)}"

    def check_versions(self) -> None:
        """Consumers that restart on a new version restart once for a rotation: no version repeats the one before it."""
        last = self.rig.document(self.name)
        assert last is not None
        found = [self.rig.document(self.name, version) for version in range(1, last["metadata"]["version"] + 1)]
        published = [version["data"]["access_key"] for version in found if version]
        repeated = [number for number, (one, other) in enumerate(pairwise(published), 2) if one == other]
        assert not repeated, f"version {repeated} of the document repeats the one before it"

    def check_secrets(self) -> None:
        """I6, in everything that was said, in the ledgers, and in the URLs."""
        rig, visits = self.rig, self.director.visits
        out = [*self.lines(), *(visit.target for visit in visits)]
        out += [visit.body.decode() for visit in visits if "/data/rotator/" in visit.target]
        text = "\n".join(out)
        keys = rig.scaleway.keys(rig.bearers[self.name], deleted=True)
        secrets = {rig.scaleway.secret_of(key.access_key) for key in keys} | {rig.scaleway.management_secret}
        secrets |= {secret.reveal() for secret in rig.secrets}
        secrets |= {visit.headers["x-vault-token"] for visit in visits if "x-vault-token" in visit.headers}
        assert not any(secret in text for secret in secrets), "I6: a secret got out"

    def stranger_as_it_is(self) -> object:
        """All that is true of the stranger."""
        keys = [key for key in self.rig.scaleway.keys(self.rig.bearers[self.name]) if key.access_key == self.stranger]
        return keys, self.rig.scaleway.accepts(self.stranger, everywhere=True)

    def made(self) -> int:
        """How many keys we ever made."""
        keys = self.rig.scaleway.keys(self.rig.bearers[self.name], deleted=True)
        return sum(parse_marker(key.description) is not None for key in keys)

    def story(self) -> tuple[str, ...]:
        """What happened, for a person who looks into a violation."""
        return (*map(str, self.director.calls), *self.lines())
