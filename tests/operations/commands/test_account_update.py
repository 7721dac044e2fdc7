"""Changes of the document of an account: each is made once, whoever else writes it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rotator.domain.account import AccountDocument, MassRotation, Waiver
from rotator.errors import Conflict, Indeterminate, ServiceError, Unavailable
from rotator.operations.commands.account_update import (
    Change,
    mass_rotation_finished,
    mass_rotation_started,
    update_account,
    with_waiver,
    without_waiver,
)
from tests.operations.transcript import Stage
from tests.operations.worlds import failing
from tests.support.simulated import EPOCH, ActorClock, SimVault

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
BEGUN = MassRotation("m1", "--all", EPOCH - DAY, compromised=True, reason="breach", by="eve", begun_at=EPOCH)
ENDED = replace(BEGUN, ended_at=EPOCH + SECOND)
OTHER = replace(BEGUN, id="m2", selector="--match a*")
WAIVER = Waiver("SCWOLD", "of the printer", "ann", EPOCH, EPOCH + DAY)
EMPTY = AccountDocument("acme")


def of(*masses: MassRotation, waivers: tuple[Waiver, ...] = ()) -> AccountDocument:
    return AccountDocument("acme", waivers, masses)


LATER = replace(WAIVER, at=EPOCH + DAY)

CHANGES: dict[str, tuple[Change, AccountDocument, AccountDocument]] = {
    "a mass rotation begins": (mass_rotation_started(BEGUN, EPOCH), of(OTHER), of(OTHER, BEGUN)),
    "one that is open is resumed": (mass_rotation_started(replace(BEGUN, id="m3"), EPOCH), of(BEGUN), of(BEGUN)),
    "one that is open since long ago is not resumed": (
        mass_rotation_started(replace(BEGUN, id="m3"), EPOCH + SECOND),
        of(BEGUN),
        of(BEGUN, replace(BEGUN, id="m3")),
    ),
    "one that has ended is not resumed": (
        mass_rotation_started(replace(BEGUN, id="m3"), EPOCH),
        of(ENDED),
        of(ENDED, replace(BEGUN, id="m3")),
    ),
    "a mass rotation ends": (mass_rotation_finished(BEGUN, EPOCH + SECOND), of(OTHER, BEGUN), of(OTHER, ENDED)),
    "one that has ended keeps its end": (mass_rotation_finished(BEGUN, EPOCH + DAY), of(ENDED), of(ENDED)),
    "one that is forgotten does not come back": (mass_rotation_finished(BEGUN, EPOCH), of(OTHER), of(OTHER)),
    "a waiver": (with_waiver(WAIVER), EMPTY, of(waivers=(WAIVER,))),
    "the same waiver again": (with_waiver(LATER), of(waivers=(WAIVER,)), of(waivers=(WAIVER,))),
    **{
        f"a waiver that differs by {what}": (
            with_waiver(waiver),
            of(waivers=(replace(WAIVER, access_key="SCWX"), WAIVER)),
            of(waivers=(replace(WAIVER, access_key="SCWX"), waiver)),
        )
        for what, waiver in {
            "its reason": replace(LATER, reason="of the scanner"),
            "who gave it": replace(LATER, by="bob"),
            "its end": replace(LATER, until=None),
        }.items()
    },
    "a waiver that is withdrawn": (
        without_waiver("SCWOLD"),
        of(waivers=(replace(WAIVER, access_key="SCWX"), WAIVER)),
        of(waivers=(replace(WAIVER, access_key="SCWX"),)),
    ),
}


def changed(stage: Stage, change: Change) -> AccountDocument:
    def sleep(until: datetime) -> None:
        stage.sim.time.now = max(stage.sim.time.now, until)

    return update_account(SimVault(stage.sim), "acme", change, clock=ActorClock(stage.sim.time), sleep=sleep)


@pytest.mark.parametrize(("change", "before", "after"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_document_is_written_if_it_makes_a_difference(
    change: Change, before: AccountDocument, after: AccountDocument
) -> None:
    stage = Stage()
    vault = SimVault(stage.sim)
    vault.write_account(before, cas=0)
    assert changed(stage, change) == after
    assert vault.read_account("acme") == (after, 1 if before == after else 2)


def test_the_first_document_comes_after_the_id_of_the_installation() -> None:
    stage = Stage()
    stage.sim.installation = ""
    changed(stage, without_waiver("SCWX"))
    assert stage.sim.installation == "", "nothing is written"
    changed(stage, with_waiver(WAIVER))
    assert stage.sim.installation
    assert SimVault(stage.sim).read_account("acme") == (of(waivers=(WAIVER,)), 1)


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize(
    "error",
    [
        lambda: Conflict("faster", service="vault", kind="conflict"),
        lambda: Indeterminate("lost", service="vault", kind="timeout"),
        lambda: Unavailable("away", service="vault", kind="sealed"),
    ],
)
def test_a_write_that_fails_once_is_made_once(phase: str, error: Callable[[], ServiceError]) -> None:
    stage = Stage()
    failing(stage, "write_account", error(), phase=phase, times=1)
    assert changed(stage, with_waiver(WAIVER)) == of(waivers=(WAIVER,))
    assert SimVault(stage.sim).read_account("acme") == (of(waivers=(WAIVER,)), 1)


def test_a_race_that_is_lost_each_time_ends_after_twenty_attempts_of_fifty_milliseconds() -> None:
    stage = Stage()
    failing(stage, "write_account", Conflict("faster", service="vault", kind="conflict"))
    with pytest.raises(Unavailable) as caught:
        changed(stage, with_waiver(WAIVER))
    assert str(caught.value) == (
        "the document of account acme could not be written in 20 attempts: other processes wrote it each time; try"
        " again"
    )
    assert (caught.value.service, caught.value.kind) == ("vault", "contended")
    assert stage.sim.time.now - EPOCH == SECOND


def test_a_vault_that_stays_away_is_waited_for_two_minutes() -> None:
    stage = Stage()
    stage.sim.sealed = True
    with pytest.raises(Unavailable):
        changed(stage, with_waiver(WAIVER))
    assert stage.sim.time.now - EPOCH == 120 * SECOND


def test_a_write_whose_answer_was_lost_and_a_vault_that_stays_away_leave_the_change_unknown() -> None:
    stage = Stage()

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("write_account", "after"):
            stage.sim.sealed = True
            raise Indeterminate("lost", service="acme", kind="timeout")

    stage.sim.hook = hook
    with pytest.raises(Indeterminate) as caught:
        changed(stage, with_waiver(WAIVER))
    found = caught.value
    assert (str(found), found.service, found.kind) == ("Vault is sealed: unseal it", "vault", "sealed")


def test_a_read_whose_answer_was_lost_leaves_nothing_unknown() -> None:
    stage = Stage()
    failing(stage, "read_account", Indeterminate("lost", service="vault", kind="timeout"), times=1)
    assert changed(stage, with_waiver(WAIVER)) == of(waivers=(WAIVER,))
    seen: list[str] = []

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("read_account", "before"):
            seen.append(name)
            if len(seen) == 1:
                raise Indeterminate("lost", service="vault", kind="timeout")
            raise Unavailable("away", service="vault", kind="sealed")

    stage.sim.hook = hook
    with pytest.raises(Unavailable):
        changed(stage, without_waiver("SCWOLD"))
