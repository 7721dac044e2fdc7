"""What people and the weather do between turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rotator.decision.observation import Clocks
from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.grace import end_grace, extend_grace
from rotator.decision.transitions.hold import clear_hold, set_hold
from rotator.domain.ledger import Hold, Ledger
from rotator.domain.marker import parse_marker
from tests.histories.stage import DOCUMENT, EARLIER, LEDGER, Stage, StageVault
from tests.histories.weather import HOUR, SECOND


def edit(stage: Stage) -> None:
    if version := stage.published():
        stage.hand_write({**version.data, "note": str(stage.dice.random())})


def roll_back(stage: Stage) -> None:
    versions = [version for version in stage.kv.get(DOCUMENT, []) if not version.deleted]
    if versions:
        stage.hand_write(stage.dice.choice(versions[-4:]).data)


def there_and_back(stage: Stage) -> None:
    """Rolled back, and forward again a little later, while perhaps nobody looked."""
    now = stage.published()
    roll_back(stage)
    stage.time.advance(stage.dice.random() * HOUR)
    if now:
        stage.hand_write(now.data)


def soft_delete(stage: Stage) -> None:
    versions = stage.kv.get(DOCUMENT, [])
    if versions:
        index = stage.dice.choice([-1, stage.dice.randrange(len(versions))])
        versions[index].deleted = True
        stage.tell(f"a person deletes a version of the document: {index}")
        stage.check("hand")


def undelete(stage: Stage) -> None:
    for number, version in enumerate(stage.kv.get(DOCUMENT, []), start=1):
        if version.deleted and not version.destroyed and not stage.is_doomed(str(version.data.get("access_key"))):
            version.deleted = False
            stage.monitor.hand_written.add(
                (DOCUMENT, number)
            )  # whoever wrote it: that it is read again is this person's doing
            stage.tell("a person undeletes a version of the document")
            stage.check("hand")


def own_key(stage: Stage) -> None:
    key, secret = stage.make_key()
    stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal()})


def foreign_key(stage: Stage) -> None:
    key, secret = stage.make_key(bearer="another-bearer")
    stage.monitor.strangers.add(key.access_key)
    stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal()})


def bad_secret(stage: Stage) -> None:
    if stage.usable():
        stage.hand_write({"access_key": stage.dice.choice(stage.usable()), "secret_key": "not-the-secret-of-anything"})


def emptied(stage: Stage) -> None:
    stage.hand_write({"note": "nothing here"})


def edit_marker(stage: Stage) -> None:
    marked = [true for true in stage.keys.values() if true.deleted_at is None and parse_marker(true.key.description)]
    if marked:
        true = stage.dice.choice(marked)
        true.key, true.ours = replace(true.key, description="edited by hand"), False
        stage.tell(f"a person edits the marker of {true.key.access_key}")


def delete_key(stage: Stage) -> None:
    if stage.usable():
        stage.hand_delete(stage.dice.choice(stage.usable()))


def stranger(stage: Stage) -> None:
    key, _ = stage.make_key("somebody else's")
    stage.monitor.strangers.add(key.access_key)
    stage.tell(f"a stranger appears: {key.access_key}")


def ledger_back(stage: Stage) -> None:
    versions = stage.kv.get(stage.where, [])
    if versions and stage.ledger_is_sound():
        index = stage.dice.randrange(len(versions))
        if "damaged" in versions[index].data:
            return
        stage.monitor.restored.add((stage.where, stage.append(stage.where, versions[index].data)))
        stage.ledger_lost = True
        stage.tell(f"the ledger is rolled back to version {index + 1}:{stage.detail('write_ledger', None)}")


def ledger_gone(stage: Stage) -> None:
    if stage.kv.get(stage.where):
        where = stage.where
        stage.remove(where)
        stage.monitor.forget(where)
        stage.ledger_lost = True
        stage.tell("the ledger is gone")


def recreate(stage: Stage) -> None:
    """The document is removed with all its versions, and written anew with what it said."""
    if version := stage.published():
        if stage.destroying or stage.writing or stage.is_doomed(str(version.data.get("access_key"))):
            return
        stage.remove(DOCUMENT)
        stage.monitor.forget(DOCUMENT)
        stage.recreated = True
        stage.tell("the document is recreated")
        stage.hand_write(version.data)


def seal(stage: Stage) -> None:
    stage.sealed = not stage.sealed
    stage.tell(f"sealed: {stage.sealed}")


def storm(stage: Stage) -> None:
    """Nobody answers, or everything is answered with 429, or with 500."""
    stage.storm_until = stage.time.now + stage.a_while()
    stage.storm_kind = stage.fog.choice(["unreachable", "rate_limited", "server_error"])
    stage.tell(f"{stage.storm_kind} until {stage.storm_until:%d %H:%M}")


def quota(stage: Stage) -> None:
    stage.quota = stage.dice.choice([None, len(stage.live_keys()), len(stage.live_keys()) + 1])
    stage.tell(f"quota: {stage.quota}")


def hold(stage: Stage) -> None:
    versions = stage.kv.get(stage.where, [])
    if versions and not stage.sealed and stage.ledger_is_sound():
        ledger = stage.ledger()
        held = None if ledger.hold else Hold("stop", "ops", stage.time.now)
        StageVault(stage).write_ledger(replace(ledger, hold=held), cas=len(versions))
        stage.tell(f"hold: {held is not None}")


def skew(stage: Stage) -> None:
    """A clock is set. Vault's clock stays true: of three clocks that all lie, none could tell."""
    if stage.weather.skews:
        off = stage.dice.choice([0, 1, -1, 20, -20, 4000, -4000, 200_000]) * SECOND
        stage.time.skew_provider = off
        stage.tell(f"the provider's clock is off by {off}")


def slow_birth(stage: Stage) -> None:
    stage.activation = stage.dice.choice([0, 5, 60, 400]) * SECOND


def slow_death(stage: Stage) -> None:
    stage.lingering = stage.dice.choice([0, 1, 20, 400]) * SECOND


ACCIDENTS: list[tuple[str, Callable[[Stage], None]]] = [
    (action.__name__, action)
    for action in (
        edit,
        roll_back,
        there_and_back,
        soft_delete,
        undelete,
        own_key,
        foreign_key,
        bad_secret,
        emptied,
        edit_marker,
        delete_key,
        stranger,
        ledger_back,
        ledger_gone,
        recreate,
        seal,
        storm,
        quota,
        hold,
        skew,
        slow_birth,
        slow_death,
    )
]


# --- what happens to Vault, by the other dice ---


def ledger_damaged(stage: Stage) -> None:
    """The ledger cannot be read: somebody edited or deleted it."""
    versions = stage.kv.get(stage.where)
    if versions and stage.ledger_is_sound():
        if stage.fog.random() < 0.5:
            stage.append(stage.where, {**versions[-1].data, "damaged": True})
        else:
            versions[-1].deleted = True
        stage.tell("the ledger is damaged")


def ledger_repaired(stage: Stage) -> None:
    """A person restores the last version that was sound, under either name."""
    for where in (LEDGER, EARLIER):
        versions = stage.kv.get(where, [])
        if versions and versions[-1].deleted:
            versions[-1].deleted = False
            stage.tell("a person undeletes the ledger")
        if versions and "damaged" in versions[-1].data:
            sound = next(version.data for version in reversed(versions) if "damaged" not in version.data)
            stage.monitor.restored.add((where, stage.append(where, sound)))
            stage.tell("a person repairs the ledger")


def pruned(stage: Stage) -> None:
    """The document keeps so many versions from now on."""
    stage.kept[DOCUMENT] = stage.fog.choice([1, 2, 3, 10])
    stage.tell(f"Vault keeps {stage.kept[DOCUMENT]} versions of the document")


def vault_clock(stage: Stage) -> None:
    """Vault's clock is set, where all the others are true."""
    if not stage.weather.skews:
        stage.time.skew_vault = stage.fog.choice([0, 1, -1, 20, -20, 4000, -4000, 200_000]) * SECOND
        stage.tell(f"Vault's clock is off by {stage.time.skew_vault}")


def _ordered(stage: Stage, what: str, change: Callable[[Ledger], Ledger]) -> None:
    """What a person at the command line does to the ledger."""
    versions = stage.kv.get(stage.where, [])
    if versions and not stage.sealed and stage.ledger_is_sound():
        before = stage.ledger()
        after = change(before)
        if after != before:
            StageVault(stage).write_ledger(after, cas=len(versions))
            stage.tell(f"a person orders: {what}")


def held_by_hand(stage: Stage) -> None:
    now = stage.time.now
    _ordered(
        stage,
        "hold or resume",
        lambda ledger: clear_hold(ledger, "ops", now) if ledger.hold else set_hold(ledger, "stop", "ops", now),
    )


def extended_by_hand(stage: Stage) -> None:
    longer = stage.fog.choice([1, 30]) * HOUR
    _ordered(stage, f"extend by {longer}", lambda ledger: extend_grace(ledger, longer, "ops", stage.time.now))


def grace_ended_by_hand(stage: Stage) -> None:
    def change(ledger: Ledger) -> Ledger:
        if not ledger.retiring:
            return ledger
        now = stage.time.now
        clocks = Clocks(now, now + stage.time.skew_vault, now + stage.time.skew_provider)
        return end_grace(ledger, stage.fog.choice(ledger.retiring).access_key, "nobody uses it", "ops", clocks)

    _ordered(stage, "end a grace", change)


def sharpened_by_hand(stage: Stage) -> None:
    """An emergency goes through the hold, or revokes first, from now on."""

    def change(ledger: Ledger) -> Ledger:
        if not ledger.compromised:
            return ledger
        keys = ledger.compromised_keys()
        mode, through = stage.fog.choice([("replace_first", True), ("revoke_first", True), ("revoke_first", False)])
        return mark_compromised(
            ledger,
            keys,
            reason="worse",
            by="ops",
            at=stage.time.now,
            incident="worse",
            mode=mode,
            override_hold=through,
        )

    _ordered(stage, "a sharper mark", change)


def kept_versions(stage: Stage) -> None:
    stage.keeps_versions = not stage.keeps_versions
    stage.tell(f"Vault lets us destroy versions: {not stage.keeps_versions}")


TROUBLES: dict[str, tuple[Callable[[Stage], None], ...]] = {
    "ledger damaged": (ledger_damaged, ledger_repaired, ledger_repaired),
    "pruned": (pruned,),
    "vault clock": (vault_clock,),
    "hands": (held_by_hand, extended_by_hand, grace_ended_by_hand, sharpened_by_hand, kept_versions),
}
RARE = {"foreign_key", "bad_secret", "emptied", "ledger_gone", "recreate", "soft_delete", "delete_key"}
