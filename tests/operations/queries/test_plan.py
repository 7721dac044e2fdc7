"""The Vault of a plan: it passes reads on and takes no write."""

from __future__ import annotations

import pytest

from rotator.errors import Refused
from rotator.operations.queries.plan import NO_INSTALLATION, ReadOnlyStore
from tests.operations.transcript import Stage
from tests.operations.worlds import adopted
from tests.support.store import SimStore


@pytest.mark.parametrize("name", ["write_ledger", "write_account", "write_document", "destroy_versions", "annotate"])
def test_every_write_is_refused(name: str) -> None:
    stage = Stage()
    with pytest.raises(Refused) as caught:
        getattr(ReadOnlyStore(SimStore(stage.sim)), name)("secret/apps/billing", cas=0)
    assert str(caught.value) == "a plan writes nothing"
    assert (stage.sim.calls, stage.sim.kv) == ([], {})


def test_the_id_of_an_installation_without_a_ledger_is_not_read_because_that_would_write_it() -> None:
    stage = Stage()
    stage.sim.installation = ""
    store = SimStore(stage.sim)
    assert ReadOnlyStore(store).installation() == NO_INSTALLATION == "0000000000000000"
    assert stage.sim.installation == ""
    stage.sim.installation = "1" * 16
    adopted(stage)
    assert ReadOnlyStore(store).installation() == "1" * 16
