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
from tests.fuzz.hostile import mutated, string, value
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


def received(rng: Random) -> Any:
    """A value as the client hands it on."""
    while True:
        try:
            return HttpResponse(200, {}, value(rng).encode(errors="surrogatepass")).json()
        except ValueError:
            continue


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
    sim.append("ledger:old", {**sound, "application": "old", rng.choice(list(sound)): received(rng)})
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


NAMES = (
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
    ),
    *("policy", "agenda", "doctor", "events", "check", "drill"),
)
WORDS = [
    *NAMES,
    *("--json", "--reason", "--compromised", "--all", "--confirm", "--for", "--match", "--created-before", "--account"),
    *(
        "--until",
        "--check",
        "--days",
        "--follow",
        "--watch",
        "--by",
        "--yes",
        "--sort",
        "--phase",
        "--secret",
        "--scan",
    ),
    *("billing", "old", "SCW00000000000000001", "--dry-run", "--trail", "--since", "--direct", "--config", "--help"),
    *("10m", "30d", "2026-01-01", "list", "show", "-", "watcher"),
]

SOUND = [
    words.split()
    for words in (
        "status",
        "status billing old --json",
        "status --check",
        "agenda --days 3650",
        "agenda --json",
        "plan",
        "plan billing --json",
        "doctor",
        "doctor --json",
        "history billing",
        "history billing --json",
        "lookup SCW00000000000000001",
        "lookup SCW00000000000000001 --json",
        "coverage --created-before 2030-01-01",
        "coverage --created-before 36h --json",
        "incident list",
        "incident list --json",
        "incident show 0123456789abcdef",
        "rotate billing --reason WORD",
        "rotate billing --compromised --reason WORD",
        "rotate SCW00000000000000001 --compromised --reason WORD",
        "rotate --all --compromised --reason WORD --dry-run",
        "rotate --all --compromised --reason WORD --yes --json",
        "revoke SCW00000000000000001 --confirm SCW00000000000000001",
        "extend billing --by 10m",
        "hold billing --reason WORD --until 30d",
        "resume billing",
        "waive SCW00000000000000001 --reason WORD",
        "drill billing --yes",
    )
]
"""Commands that are carried out."""


def command(rng: Random) -> None:
    """A command with hostile words, over such a world: an answer or a sentence, never an error of the program."""
    desk = Desk(world(rng))
    if rng.random() < 0.5:
        words = [string(rng) if word == "WORD" or rng.random() < 0.05 else word for word in rng.choice(SOUND)]
    else:
        words = [rng.choice(NAMES)] if rng.random() < 0.9 else []
        words += [rng.choice(WORDS) if rng.random() < 0.6 else string(rng) for _ in range(rng.randint(0, 4))]
    words = [word.replace("\0", "") for word in words]  # no command line can hold it
    result = desk.type(*words)
    said = result.stdout + result.stderr
    assert result.exit_code in range(7), (words, result.exit_code)
    assert "error of the program" not in said, (words, said[-500:])
    assert not MAY_ACT.search(said), (words, ascii(MAY_ACT.findall(said)))
    for true in desk.sim.keys.values():
        assert true.secret not in said
    assert len(said) < 3_000_000
