"""The composition root: everything is built from the file, nothing is contacted, and mistakes are told with their place."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rotator.app import RuntimeBuilder, UnknownApplication, open_runtime
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ports import NullEventSink
from rotator.errors import ConfigurationError, Unavailable

CONFIG = """
[vault]
address = "http://127.0.0.1:{port}"
ledger_path = "secret/rotator"
auth = {{ method = "token", token = "file:token" }}
[accounts.acme]
provider = "{provider}"
organization_id = "1f0e2d3c-1111-4111-8111-111111111111"
secret_key = "vault:secret/management#key"
api_url = "http://127.0.0.1:{port}"
[applications.billing]
application_id = "2f0e2d3c-2222-4222-8222-222222222222"
path = "secret/apps/billing"
every = "30d"
[daemon]
workers = 3
"""


def write(directory: Path, *, port: int = 1, provider: str = "scaleway") -> Path:
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text("made-up")
    file = directory / "rotator.toml"
    file.write_text(CONFIG.format(port=port, provider=provider))
    return file


def test_opening_contacts_nothing(tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        app = open_runtime(write(tmp_path, port=listening.getsockname()[1]))
        app.context(app.spec("billing"))
        app.close()
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_an_unknown_application_is_a_mistake_of_usage_and_the_nearest_is_named(tmp_path: Path) -> None:
    app = open_runtime(write(tmp_path))
    with pytest.raises(UnknownApplication, match="did you mean billing") as caught:
        app.spec("biling")
    assert caught.value.exit_code == 2
    app.close()


def test_an_unknown_provider_is_told_with_its_place_in_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, provider="scalway")
    with pytest.raises(ConfigurationError) as caught:
        open_runtime(file)
    (problem,) = caught.value.problems
    assert problem.file == str(file)
    assert problem.path == "accounts.acme.provider"
    assert "scaleway" in problem.message


def test_only_the_own_key_of_an_account_is_verified_by_its_rights(tmp_path: Path) -> None:
    file = write(tmp_path)
    own = '[accounts.acme.own_key]\napplication_id = "0766588d-4a0e-4938-a140-544964da7870"\npath = "secret/own"\n'
    file.write_text(file.read_text() + own)
    app = open_runtime(file)
    found = {name: app.context(spec).manages_account for name, spec in app.specs.items()}
    app.close()
    assert found == {"billing": False, "acme-own-key": True}


def test_two_worlds_of_one_account_share_what_they_learn_and_all_sign_with_one_owner(tmp_path: Path) -> None:
    build = RuntimeBuilder(write(tmp_path))
    app, again = (build(NullEventSink(), lambda *_: None) for _ in range(2))
    first, second = app.context(app.spec("billing")), app.context(app.spec("billing"))
    assert first.casualties is second.casualties
    assert first.owner == second.owner == again.context(again.spec("billing")).owner
    app.close()
    again.close()


def test_what_a_ledger_says_is_enough_to_wind_up_an_application_that_left(tmp_path: Path) -> None:
    app = open_runtime(write(tmp_path))
    left = app._removed_application(new_ledger(app.spec("billing")))
    assert not left.configured
    for same in (
        "application",
        "account",
        "bearer",
        "path",
        "access_field",
        "secret_field",
        "grace",
        "verification",
        "organization_id",
    ):
        assert getattr(left, same) == getattr(app.spec("billing"), same)
    app.close()


def test_calls_are_observed_by_service_also_after_a_reload(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    build = RuntimeBuilder(write(tmp_path))
    for _ in range(2):
        app = build(NullEventSink(), lambda service, outcome, seconds: told.append((service, outcome)))
        with pytest.raises(Unavailable):
            app.vault.read_ledger("billing")
        app.close()
    # Nobody listens on port 1; the provider's key is in Vault, so that it is not even asked.
    assert told[0] == ("vault", "refused")
    assert {service for service, _ in told} == {"vault"}
    assert len(told) >= 2


def test_c4_a_reload_remembers_which_credentials_were_refused(tmp_path: Path) -> None:
    build = RuntimeBuilder(write(tmp_path))
    app, fresh = (build(NullEventSink(), lambda *_: None) for _ in range(2))
    assert fresh.refusals is app.refusals
    app.close()
    fresh.close()
