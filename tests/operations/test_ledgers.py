"""The ledger of an application together with those of its earlier names, as queries read it; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.document import DEFAULT_FIELDS
from rotator.domain.ledger import CurrentKey, HistoryEntry, Ledger
from rotator.operations.ledgers import is_renamed, read_whole_ledger
from tests.cli.conftest import SimApp
from tests.operations.transcript import NEW, OLD, Stage
from tests.operations.worlds import DAY, removed, renamed, rotated
from tests.support.simulated import BEARER, PATH, Recorder, SimVault, spec


def whole(stage: Stage, name: str) -> Ledger | None:
    app = SimApp(stage.sim, stage.desk.specs, Recorder(), stage.desk.left)
    policy = stage.desk.specs[name]
    before = {where: len(versions) for where, versions in stage.sim.kv.items()}
    found = read_whole_ledger(policy, app.context(policy))
    assert {where: len(versions) for where, versions in stage.sim.kv.items()} == before
    return found


def keys(found: Ledger | None) -> dict[str, Any]:
    """What a ledger says of keys."""
    assert found is not None
    return {"current": found.current, "retiring": found.retiring, "history": [one.event for one in found.history]}


def test_without_a_ledger_there_is_none() -> None:
    assert whole(Stage(), "billing") is None


def test_an_application_that_kept_its_name_has_its_own_ledger_as_it_is() -> None:
    stage = Stage()
    rotated(stage)
    assert whole(stage, "billing") == stage.sim.ledger("billing")


def test_a_new_name_without_a_ledger_has_what_the_earlier_one_has() -> None:
    stage = Stage()
    rotated(stage)
    before = stage.sim.ledger("billing")
    renamed(stage)
    found = whole(stage, "payments")
    assert keys(found) == {
        "current": before.current,
        "retiring": before.retiring,
        "history": ["adopted", "rotated", "renamed"],
    }
    assert found is not None
    assert found.application == "payments"


def test_a_new_name_with_a_ledger_keeps_it_and_gets_the_keys_of_the_earlier_one_beside_it() -> None:
    stage = Stage()
    rotated(stage)
    renamed(stage)
    newest, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(newest.access_key)
    now = stage.sim.time.now
    current = CurrentKey(newest.access_key, 3, now, now)
    own = replace(
        new_ledger(stage.desk.specs["payments"]), current=current, history=(HistoryEntry(now, "adopted", "SCWX"),)
    )
    SimVault(stage.sim).write_ledger(own, cas=0)
    found = keys(whole(stage, "payments"))
    assert found["current"] == current
    grace = {one.access_key: one.revoke_after for one in found["retiring"]}
    assert grace == {OLD: stage.sim.ledger("billing").retiring[0].revoke_after, NEW: now + DAY}
    assert "adopted" in found["history"]


@pytest.mark.parametrize(
    ("fields", "retiring"), [(DEFAULT_FIELDS, {NEW}), ({"name": "{access_key}", "value": "{secret_key}"}, {OLD, NEW})]
)
def test_a_key_that_the_document_at_a_new_path_publishes_is_not_retired_by_a_rename(
    fields: Mapping[str, str], retiring: set[str]
) -> None:
    stage = Stage()
    rotated(stage)
    renamed(stage)
    moved = replace(stage.desk.specs["payments"], path="secret/apps/payments", fields=fields)
    stage.desk.specs["payments"] = moved
    stage.sim.publish_by_hand(OLD, path="secret/apps/payments")
    found = keys(whole(stage, "payments"))
    assert found["current"] is None
    assert {one.access_key for one in found["retiring"]} == retiring


def test_an_application_is_renamed_when_a_configured_one_owns_its_ledger_and_has_its_bearer() -> None:
    stage = Stage()
    rotated(stage)
    renamed(stage)
    (gone,) = stage.desk.left.values()
    configured = stage.desk.specs
    assert is_renamed(gone, configured)
    assert not is_renamed(gone, {"payments": replace(configured["payments"], bearer="another")})
    assert not is_renamed(gone, {})


def test_an_application_that_left_the_configuration_is_not_renamed() -> None:
    stage = Stage()
    rotated(stage)
    removed(stage)
    (gone,) = stage.desk.left.values()
    other = spec(application="mailer", bearer=BEARER, path=PATH + "/other")
    assert not is_renamed(gone, {"mailer": other})
