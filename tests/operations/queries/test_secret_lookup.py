"""The key of a secret in hand: what Vault holds is compared, and what no Vault holds is tried once with each account."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from rotator.domain.keys import ProbeResult
from rotator.domain.ledger import RevokingKey
from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied, Unavailable
from rotator.operations.queries.secret_lookup import SecretMatch, held_in_vault, probe_accounts
from rotator.operations.runtime import Runtime
from tests.cli.conftest import SimApp
from tests.operations.transcript import NEW, OLD, Stage
from tests.operations.worlds import adopted, failing, ledger, mailer, rotated, stray
from tests.support.simulated import PATH, Actor, Recorder, SimProvider

DENIED = PermissionDenied("the policy denies it", service="vault", kind="policy")
AWAY = Unavailable("500", service="acme", kind="server_error")


def runtime(stage: Stage) -> Runtime:
    return cast("Runtime", SimApp(stage.sim, stage.desk.specs, Recorder()))


def secret_of(stage: Stage, access_key: str) -> Secret:
    return Secret(stage.sim.keys[access_key].secret)


def test_a_secret_is_found_in_the_newest_version_and_in_the_version_of_a_key_in_grace() -> None:
    stage = Stage()
    rotated(stage)
    given = [secret_of(stage, OLD), Secret("not-this-one"), Secret(secret_of(stage, NEW).reveal().upper())]
    assert held_in_vault(runtime(stage), given) == (
        (SecretMatch(OLD, "billing", PATH, 1), None, SecretMatch(NEW, "billing", PATH, 2)),
        (),
    )


def test_a_secret_of_a_key_that_is_scheduled_for_revocation_is_found() -> None:
    stage = Stage()
    rotated(stage)
    ledger(stage, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"), RevokingKey("SCWX", 0, "leftover")))
    assert held_in_vault(runtime(stage), [secret_of(stage, OLD)]) == ((SecretMatch(OLD, "billing", PATH, 1),), ())


def test_of_two_documents_with_the_same_secret_the_first_is_named() -> None:
    stage = Stage()
    rotated(stage)
    secret = secret_of(stage, OLD).reveal()
    mailer(stage)
    stage.sim.publish_by_hand("SCWMAIL", secret, path="secret/apps/mailer")
    assert held_in_vault(runtime(stage), [Secret(secret)]) == ((SecretMatch(OLD, "billing", PATH, 1),), ())
    ledger(stage, retiring=())
    assert held_in_vault(runtime(stage), [Secret(secret)]) == (
        (SecretMatch("SCWMAIL", "mailer", "secret/apps/mailer", 1),),
        (),
    )
    stage.sim.publish_by_hand(NEW, secret)
    assert held_in_vault(runtime(stage), [Secret(secret)]) == ((SecretMatch(NEW, "billing", PATH, 3),), ())


def test_a_document_without_a_key_or_without_a_readable_secret_matches_nothing() -> None:
    stage = Stage()
    stage.sim.append("doc:" + PATH, {"database": "kept"})
    assert held_in_vault(runtime(stage), [Secret("kept")]) == ((None,), ())
    stage.sim.append("doc:" + PATH, {"access_key": "SCWX", "secret_key": 7})
    assert held_in_vault(runtime(stage), [Secret("7")]) == ((None,), ())


def test_applications_that_cannot_be_read_are_named_and_an_absent_vault_is_an_error() -> None:
    stage = Stage()
    rotated(stage)
    mailer(stage)
    stage.sim.append("ledger:mailer", {"schema": 99})
    found = held_in_vault(runtime(stage), [secret_of(stage, NEW)])
    assert found == ((SecretMatch(NEW, "billing", PATH, 2),), ("mailer",))
    failing(stage, "read_document", DENIED)
    assert held_in_vault(runtime(stage), [secret_of(stage, NEW)]) == ((None,), ("billing", "mailer"))
    failing(stage, "read_document", AWAY)
    with pytest.raises(Unavailable):
        held_in_vault(runtime(stage), [secret_of(stage, NEW)])
    failing(stage, "read_document", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        held_in_vault(runtime(stage), [secret_of(stage, NEW)])


Probed = Callable[[ProbeResult, ProbeResult], tuple[ProbeResult, list[tuple[str, str]]]]


def two_accounts(stage: Stage) -> Probed:
    """Billing at acme and mailer at globex. What the function returns for their answers: the verdict, and who was asked."""
    rotated(stage)
    mailer(stage, account="globex")
    key, _ = stage.sim.make_key(bearer="another")
    stage.sim.publish_by_hand(key.access_key, path="secret/apps/mailer")
    Actor(stage.sim, stage.desk.specs["mailer"]).run()
    answers: dict[str, ProbeResult] = {}
    app = SimApp(stage.sim, stage.desk.specs, Recorder())
    asked: list[tuple[str, str]] = []

    class Told(SimProvider):
        def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
            asked.append((self.name, access_key))
            return answers[self.name]

    app.provider = lambda account: Told(stage.sim, account)  # type: ignore[method-assign]  # what this test tells

    def probed(acme: ProbeResult, globex: ProbeResult) -> tuple[ProbeResult, list[tuple[str, str]]]:
        asked.clear()
        answers.update(acme=acme, globex=globex)
        return probe_accounts(cast("Runtime", app), Secret("a-secret")), sorted(asked)

    return probed


VALID, REJECTED, INCONCLUSIVE = ProbeResult.VALID, ProbeResult.REJECTED, ProbeResult.INCONCLUSIVE


@pytest.mark.parametrize(
    ("acme", "globex", "verdict"),
    [
        (VALID, REJECTED, VALID),
        (INCONCLUSIVE, VALID, VALID),
        (REJECTED, REJECTED, REJECTED),
        (REJECTED, INCONCLUSIVE, INCONCLUSIVE),
        (INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE),
    ],
)
def test_a_secret_is_valid_if_one_account_accepts_it_and_rejected_if_all_reject_it(
    acme: ProbeResult, globex: ProbeResult, verdict: ProbeResult
) -> None:
    found, asked = two_accounts(Stage())(acme, globex)
    assert found is verdict
    if verdict is not VALID:
        assert asked == [("acme", NEW), ("globex", "SCW00000000000000003")], "each account once, with a key that exists"


def test_without_a_key_that_exists_nothing_is_tried() -> None:
    stage = Stage()
    assert probe_accounts(runtime(stage), Secret("x")) is INCONCLUSIVE
    adopted(stage)
    ledger(stage, current=None)
    stray(stage)
    assert probe_accounts(runtime(stage), Secret("x")) is INCONCLUSIVE
