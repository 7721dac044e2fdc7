"""Which services are up: what an answer of each kind means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.daemon.services import AGAIN, AGAIN_DENIED, VAULT, ServiceHealth, ServiceState, tracked_services
from rotator.errors import Indeterminate, NotFound, PermissionDenied, Rejected, RotatorError, ServiceError, Unavailable
from tests.support.daemon_stage import runtime

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = Unavailable("Vault is sealed", service="vault", kind="sealed")
SLOW = Unavailable("no answer", service="vault", kind="no_answer")


def answering(error: RotatorError | None, name: str = VAULT) -> ServiceHealth:
    def ask() -> object:
        if error is not None:
            raise error
        return None

    return ServiceHealth(name, ask)


@pytest.mark.parametrize(
    ("error", "name", "down"),
    [
        (None, VAULT, False),
        (AWAY, VAULT, True),
        (Indeterminate("lost", service="acme", kind="lost"), "acme", True),
        (Unavailable("one mount", service="vault", kind="upgrading"), VAULT, False),
        (Unavailable("one document", service="vault", kind="stale"), VAULT, False),
        (PermissionDenied("one path", service="vault", kind="policy"), VAULT, False),
        (PermissionDenied("the login", service="vault", kind="login"), VAULT, True),
        (PermissionDenied("the login", service="vault", kind="credentials"), VAULT, True),
        (PermissionDenied("the key", service="acme", kind="policy"), "acme", True),
        (NotFound("no bearer", service="acme", kind="not_found"), "acme", False),
        (Rejected("wrong", service="acme", kind="invalid_arguments"), "acme", False),
    ],
)
def test_only_what_concerns_the_whole_service_makes_it_down(error: ServiceError | None, name: str, down: bool) -> None:
    assert answering(error, name).probe() == (error if down else None)


def test_a_service_is_down_since_its_first_failure_and_each_change_is_news_once() -> None:
    service = answering(None)
    assert (service.state, service.since, service.kind, service.message) == (ServiceState.UNKNOWN, None, "", "")
    assert not service.note(None, NOW)
    assert (service.state, service.since) == (ServiceState.UP, NOW)
    later = [NOW + timedelta(minutes=minute) for minute in range(6)]
    assert service.note(AWAY, later[1])
    assert (service.state, service.since, service.kind, service.message) == (
        ServiceState.DOWN,
        later[1],
        "sealed",
        "Vault is sealed",
    )
    assert not service.note(AWAY, later[2])
    assert service.since == later[1]
    assert service.note(SLOW, later[3]), "down in another way"
    assert (service.since, service.kind) == (later[1], "no_answer")
    assert service.note(None, later[4])
    assert (service.state, service.since, service.kind, service.message) == (ServiceState.UP, later[4], "", "")
    assert not service.note(None, later[5])
    assert service.since == later[4]


def test_a_service_that_was_down_from_the_start_is_news() -> None:
    service = answering(AWAY)
    assert service.note(service.probe(), NOW)
    assert service.since == NOW


@pytest.mark.parametrize("kind", ["unauthenticated", "permissions_denied", "secret_key"])
def test_an_account_that_refuses_the_key_is_asked_less_often(kind: str) -> None:
    service = answering(None, "acme")
    service.note(PermissionDenied("x", service="acme", kind=kind), NOW)
    assert service.pause == AGAIN_DENIED == timedelta(seconds=15)
    service.note(AWAY, NOW)
    assert service.pause == AGAIN == timedelta(seconds=2)


def test_each_account_and_vault_is_a_service_and_each_probe_asks_about_the_next_application() -> None:
    made = runtime("a", "b", "z", accounts={"z": "other"})
    services = tracked_services(made)
    assert {name: service.name for name, service in services.items()} == {
        "vault": VAULT,
        "acme": "acme",
        "other": "other",
    }
    for service in services.values():
        for _ in range(3):
            assert service.probe() is None
    assert made.stages["other"].calls == ["list_keys"] * 3
    assert made.stages["acme"].calls == ["read_ledger"] * 3 + ["list_keys"] * 3


def test_without_applications_vault_is_asked_for_its_ledgers() -> None:
    made = runtime()
    (service,) = tracked_services(made).values()
    service.probe()
    assert made.stages["acme"].calls == ["list_ledgers"]
