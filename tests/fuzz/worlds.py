"""Hostile ledgers, account documents and credential documents, through decisions, whole passes and whole commands."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from rotator.decision.status import status_of
from rotator.errors import LedgerUnreadable, RotatorError
from rotator.http import HttpResponse
from rotator.observability.serialization import to_json_value
from rotator.vault.codec import dump_account, dump_ledger, load_account, load_ledger
from tests.cli.conftest import Desk
from tests.fuzz.hostile import SECRET, mutated, plain, string
from tests.fuzz.services import ACCOUNT, LEDGER, told, ways
from tests.support.simulated import Actor, Sim, spec
from tests.vault.test_codec import NOW

SPEC = spec()
MAY_ACT = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def stored(rng: Random, sound: dict[str, Any]) -> dict[str, Any] | None:
    """What Vault hands out where somebody wrote by hand, as far as it is JSON."""
    text = mutated(rng, sound, ways(json.dumps(sound)))
    try:
        found = HttpResponse(200, {}, text.encode(errors="surrogatepass")).json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def ledger(rng: Random) -> None:
    """A ledger is refused by name, or it can be judged, shown and written again."""
    data = stored(rng, LEDGER)
    if data is None:
        return
    try:
        found = load_ledger(data, "billing")
    except RotatorError as error:
        told(error)
        return
    status = status_of(SPEC, found, NOW, found.problem)
    json.dumps(to_json_value(status.__dict__), allow_nan=False)
    dump_ledger(found)
    assert len(json.dumps(dump_ledger(found))) < 2_000_000


def account(rng: Random) -> None:
    """An account document is refused by name, or its waivers can be judged."""
    data = stored(rng, ACCOUNT)
    if data is None:
        return
    try:
        found = load_account(data, "acme")
    except LedgerUnreadable as error:
        told(error)
        return
    for waiver in found.waivers:
        waiver.holds(datetime.now(UTC))
        assert waiver.at + timedelta(days=1)
    json.dumps(dump_account(found))


def world(rng: Random) -> Sim:
    """One application at rest, and then somebody's hand in its documents."""
    sim = Sim()
    key, secret = sim.make_key()
    sim.publish_by_hand(key.access_key)
    Actor(sim).run()
    sound = sim.kv["ledger:billing"][-1].data
    for _ in range(rng.randint(1, 2)):
        kind = rng.randrange(4)
        if kind == 0 and (data := stored(rng, sound)) is not None:
            sim.append("ledger:billing", data)
        elif kind == 1:
            data = stored(rng, {"access_key": key.access_key, "secret_key": secret.reveal(), "more": "x"})
            if data is not None:
                sim.append("doc:" + SPEC.path, data)
        elif kind == 2 and (data := stored(rng, ACCOUNT)) is not None:
            sim.append("account:acme", data)
        else:
            true = sim.keys[key.access_key]
            sim.keys[key.access_key] = replace(true, key=replace(true.key, description=string(rng)))
    sim.append("ledger:old", {**sound, "application": "old", rng.choice(list(sound)): plain(rng)})
    return sim


def a_pass(rng: Random) -> None:
    """Passes over a world in which somebody wrote by hand: each ends, with an error by name at the worst."""
    sim = world(rng)
    actor = Actor(sim)
    for _ in range(2):
        try:
            actor.run()
        except RotatorError as error:
            told(error)
        sim.time.advance(timedelta(days=rng.choice((0, 1, 40))))
    for event, fields in actor.sink.events:
        json.dumps(to_json_value({"event": event, **fields}), allow_nan=False)


WORDS = [
    *(
        "status",
        "plan",
        "history",
        "rotate",
        "lookup",
        "revoke",
        "extend",
        "hold",
        "resume",
        "coverage",
        "waive",
        "incident",
        "policy",
    ),
    *(
        "--json",
        "--reason",
        "--compromised",
        "--all",
        "--confirm",
        "--for",
        "--match",
        "--created-before",
        "--account",
        "--until",
        "--check",
    ),
    *(
        "billing",
        "old",
        "SCW00000000000000001",
        "--dry-run",
        "--trail",
        "--since",
        "--direct",
        "--config",
        "--help",
        "10m",
        "30d",
        "2026-01-01",
    ),
]


def command(rng: Random) -> None:
    """A command with hostile words, over such a world: an answer or a sentence, never an error of the program."""
    desk = Desk(world(rng))
    words = [rng.choice(WORDS[:13])] if rng.random() < 0.9 else []
    words += [rng.choice(WORDS) if rng.random() < 0.6 else string(rng) for _ in range(rng.randint(0, 4))]
    words = [word.replace("\0", "") for word in words]  # no command line can hold it
    result = desk.type(*words)
    said = result.stdout + result.stderr
    assert result.exit_code in range(6), (words, result.exit_code)
    assert "error of the program" not in said, (words, said[-500:])
    assert not MAY_ACT.search(said), (words, ascii(MAY_ACT.findall(said)))
    assert SECRET not in said or any(SECRET in word for word in words)
    for true in desk.sim.keys.values():
        assert true.secret not in said
    assert len(said) < 3_000_000
