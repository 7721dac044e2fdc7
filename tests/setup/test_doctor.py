"""`rotator doctor` against provoked faults, one at a time: the right line has it, with a remedy, and every other line is as before."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.app import open_runtime
from rotator.cli.commands.doctor import with_unit
from rotator.domain.facts import Endpoint, Facts, VaultFacts
from rotator.domain.secret import Secret
from rotator.http.reachability import own_certificate_end
from rotator.operations.queries.diagnosis import Check, Diagnosis
from rotator.operations.queries.doctor import diagnose
from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao, free_port
from rotator.sandbox.openbao_cluster import cluster
from rotator.sandbox.process import wait_until
from rotator.system import service_facts
from rotator.vault.policy import checked_rights, policy_text, required_rights
from tests.e2e.rig import POLICY, Rig
from tests.setup.conftest import SLOW

Fault = Callable[[Rig, pytest.MonkeyPatch], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def patient(rig: Rig) -> Rig:
    """An installation in which every check passes, or nearly: no message goes to a person."""
    rig.keep("ping", Secret("https://ping.internal/token"))
    configure(rig)
    rig.command("run", "--once")
    assert {check.name for check in doctor(rig) if check.outcome != "ok"} == {"notifications"}
    return rig


def configure(rig: Rig, *, account: str = "", defaults: str = SLOW, more: str = "", **vault: Any) -> None:
    """Write the configuration, with something else in one place."""
    key = (
        "" if "access_key" in account or account == "none" else f'access_key = "{rig.scaleway.management_access_key}"\n'
    )
    rig.configure(defaults, account=key + ("" if account == "none" else account), timeout="2s", **vault)
    heartbeat = "" if "[heartbeat]" in more else '[heartbeat]\nurl = "file:ping"\n'
    rig.configuration.write_text(rig.configuration.read_text() + heartbeat + more.replace("[heartbeat]\n", ""))


def doctor(rig: Rig) -> tuple[Check, ...]:
    app = open_runtime(rig.configuration)
    try:
        return diagnose(app.facts()).checks
    finally:
        app.close()


# --- the faults -----------------------------------------------------------------------------------------------------------


def configured(replacement: tuple[str, str] | None = None, **changes: Any) -> Fault:
    """The configuration says something else. ``replacement`` is a pattern of its text and what stands in its place."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        configure(rig, **{name: value(rig) if callable(value) else value for name, value in changes.items()})
        if replacement:
            text, count = re.subn(replacement[0], replacement[1], rig.configuration.read_text(), count=1)
            assert count == 1
            rig.configuration.write_text(text)
        yield

    return fault


def login(**role: Any) -> Fault:
    """The login is an AppRole with other options."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        before = {name: (rig.directory / name).read_text() for name in ("role-id", "secret-id")}
        policies = role.get("token_policies", ["rotator"])
        role_id, secret_id = rig.vault.approle("odd", policies, **{"token_no_default_policy": True, **role})
        rig.keep("role-id", role_id)
        rig.keep("secret-id", secret_id)
        if role.get("secret_id_num_uses") == 1:
            body = {"role_id": role_id.reveal(), "secret_id": secret_id.reveal()}
            assert rig.vault.call("POST", "auth/approle/login", body).status == 200
        yield
        for name, text in before.items():
            rig.keep(name, Secret(text))
        rig.vault.admin("DELETE", "auth/approle/role/odd")

    return fault


def kept(name: str, text: str) -> Fault:
    """A file of a credential holds something else."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        before = (rig.directory / name).read_text()
        rig.keep(name, Secret(text))
        yield
        rig.keep(name, Secret(before))

    return fault


def token(**options: Any) -> Fault:
    """The login is a token with these options; ``root`` is the root token."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        root = rig.vault.root_token
        assert root
        rig.keep("token", root if options.pop("root", False) else rig.vault.token(["rotator"], **options))
        text, count = re.subn(
            r"auth = .*", 'auth = { method = "token", token = "file:token" }', rig.configuration.read_text()
        )
        assert count == 1
        rig.configuration.write_text(text)
        yield

    return fault


def without_right(number: int) -> Fault:
    """The policy lacks one line."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        rights = required_rights("secret/rotator", ["secret/apps/*"])
        rig.vault.policy("rotator", policy_text([right for right in rights if right is not rights[number]]))
        yield
        rig.vault.policy("rotator", POLICY)

    return fault


def at_vault(method: str, path: str, body: Any, undo: tuple[str, str, Any]) -> Fault:
    """An administrator changes something at Vault, and changes it back."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        rig.vault.admin(method, path, body)
        yield
        rig.vault.admin(*undo)

    return fault


@contextmanager
def sealed(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    rig.vault.seal()
    yield
    rig.vault.unseal()


@contextmanager
def without_leader(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A node of a cluster whose other node has gone."""
    with cluster(2) as nodes:
        configure(rig, address=nodes[1].address)
        nodes[0].kill()
        wait_until(
            lambda: nodes[1].call("POST", "auth/approle/login", {}).status != 400, "no call is forwarded any more"
        )
        yield


@contextmanager
def locked(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    """Another machine has used a wrong secret id five times."""
    role_id = (rig.directory / "role-id").read_text()
    for _attempt in range(5):
        rig.vault.call("POST", "auth/approle/login", {"role_id": role_id, "secret_id": "wrong"})
    yield
    accessor = rig.vault.admin("GET", "sys/auth").data["approle/"]["accessor"]
    rig.vault.admin("POST", f"sys/locked-users/{accessor}/unlock/{role_id}")


def limited(**role: Any) -> Fault:
    """The secret id has limits, and the policy lets the login see them."""
    usual = login(token_policies=["rotator", "limits"], **role)

    @contextmanager
    def fault(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        path = "auth/approle/role/odd/secret-id/lookup"
        rig.vault.policy("limits", f'path "{path}" {{ capabilities = ["update"] }}')
        with usual(rig, monkeypatch):
            yield

    return fault


@contextmanager
def frozen(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    rig.vault.pause()
    yield
    rig.vault.resume()


@contextmanager
def uninitialised(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    server = OpenBao()
    server.start()
    configure(rig, address=server.address)
    yield
    server.close()


@contextmanager
def untrusted(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A server with a certificate of an authority that is not trusted."""
    certificate, key = Authority(rig.directory / "other-authority").issue("vault")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), connection:
                        context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        configure(rig, address=f"https://127.0.0.1:{port}")
        yield


def ledger(body: dict[str, Any]) -> Fault:
    """Something else stands where the ledger of billing was."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        path = "secret/data/rotator/applications/billing"
        before = rig.vault.admin("GET", path).data["data"]
        rig.vault.admin("POST", path, {"data": body})
        yield
        rig.vault.admin("POST", path, {"data": before})

    return fault


@contextmanager
def deleted_ledger(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    path = "secret/data/rotator/applications/billing"
    before = rig.vault.admin("GET", path).data["data"]
    rig.vault.admin("DELETE", path)
    yield
    rig.vault.admin("POST", path, {"data": before})


@contextmanager
def version_1(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
    with contextlib.suppress(Exception):
        rig.vault.mount("old", 1)
    rig.vault.policy(
        "rotator", POLICY + 'path "old/*" { capabilities = ["create", "read", "update", "patch", "list"] }\n'
    )
    configure(rig)
    rig.configuration.write_text(rig.configuration.read_text().replace('"secret/apps/billing"', '"old/billing"'))
    yield
    rig.vault.policy("rotator", POLICY)


def at_scaleway(change: Callable[[Rig], Any], undo: Callable[[Rig, Any], Any]) -> Fault:
    """Something changes at the provider, and changes back; ``undo`` gets what ``change`` returned."""

    @contextmanager
    def fault(rig: Rig, _: pytest.MonkeyPatch) -> Iterator[None]:
        made = change(rig)
        yield
        undo(rig, made)

    return fault


def quota(room: int) -> Fault:
    return at_scaleway(
        lambda rig: rig.scaleway.edit_organization(quota=len(rig.scaleway.keys()) + room),
        lambda rig, _: rig.scaleway.edit_organization(quota=1000),
    )


def expiring(after: timedelta) -> Fault:
    return at_scaleway(
        lambda rig: rig.scaleway.edit_key(rig.scaleway.management_access_key, expires_at=datetime.now(UTC) + after),
        lambda rig, _: rig.scaleway.edit_key(rig.scaleway.management_access_key, expires_at=None),
    )


def unit(**properties: str) -> Fault:
    """systemd says this of the unit."""

    @contextmanager
    def fault(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        usual = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "ProtectSystem": "strict"}
        script = rig.directory / "systemctl"
        script.write_text(
            "#!/bin/sh\n" + "".join(f"echo {name}={value}\n" for name, value in {**usual, **properties}.items())
        )
        script.chmod(0o755)
        monkeypatch.setattr(service_facts.unit_properties, "__defaults__", ((str(script),),))
        yield

    return fault


NOWHERE = "https://no-such-host.internal:8200"

RIGHTS = required_rights("secret/rotator", ["secret/apps/*"])

FAULTS: dict[str, tuple[Fault, str, str]] = {
    "the name of Vault does not exist": (configured(address=NOWHERE), "vault name", "no-such-host.internal"),
    "nothing listens at Vault's address": (
        configured(address=lambda _: f"http://127.0.0.1:{free_port()}"),
        "vault connection",
        "does not take a connection",
    ),
    "the proxy to Vault does not run": (
        configured(proxy=lambda _: f"http://127.0.0.1:{free_port()}"),
        "vault connection",
        "start the proxy",
    ),
    "Vault's certificate is of another authority": (untrusted, "vault certificate", "ca_cert"),
    "Vault does not answer": (frozen, "vault state", "did not answer"),
    "Vault is sealed": (sealed, "vault state", "unseal it"),
    "Vault is not initialised": (uninitialised, "vault state", "initialise it"),
    "what answers is no Vault": (configured(address=lambda rig: rig.scaleway.url), "vault state", "no Vault"),
    "the secret id is wrong": (
        kept("secret-id", "00000000-1111-4222-8333-444444444444"),
        "vault login",
        "replace the credentials",
    ),
    "the role id is wrong": (
        kept("role-id", "00000000-1111-4222-8333-444444444444"),
        "vault login",
        "replace the credentials",
    ),
    "the secret id is bound to another network": (
        login(secret_id_bound_cidrs=["192.0.2.0/24"]),
        "vault login",
        "add the address of this machine to secret_id_bound_cidrs",
    ),
    "the token is bound to another network": (
        login(token_bound_cidrs=["192.0.2.0/24"]),
        "vault login",
        "token_bound_cidrs",
    ),
    "the role is locked": (locked, "vault login", "unlock the role"),
    "the secret id ends soon": (limited(secret_id_ttl="48h"), "vault secret id", "ends in 1d23h"),
    "the secret id has few uses left": (limited(secret_id_num_uses=20), "vault secret id", "secret_id_num_uses = 0"),
    "a node of Vault has no active node": (without_leader, "vault state", "no active node"),
    "the secret id is used up": (login(secret_id_num_uses=1), "vault login", "replace the credentials"),
    "the login is mounted elsewhere": (
        configured(('method = "approle"', 'method = "approle", mount = "elsewhere"')),
        "vault login",
        "correct mount of [vault] auth",
    ),
    "the token has a limited number of uses": (login(token_num_uses=400), "vault login", "token_num_uses = 0"),
    "the token ends soon whatever is renewed": (
        login(token_explicit_max_ttl="5m"),
        "vault login",
        "token_explicit_max_ttl",
    ),
    "the login is a root token": (token(root=True), "vault login", "AppRole"),
    "the token cannot be renewed": (token(renewable=False, ttl="1h"), "vault login", "renewable"),
    **{
        f"the policy lacks {right.path}": (without_right(number), "vault rights", checked.path)
        for number, (right, checked) in enumerate(
            zip(RIGHTS, checked_rights("secret/rotator", "billing", "secret/apps/billing"), strict=True)
        )
    },
    "there is no mount for a path": (
        configured(('"secret/apps/billing"', '"nowhere/billing"')),
        "vault mounts",
        "correct path",
    ),
    "a mount is KV version 1": (version_1, "vault mounts", "version 1"),
    "a ledger is damaged": (ledger({"schema": 1, "application": 7}), "vault ledgers", "restore"),
    "a ledger is of a later version": (ledger({"schema": 99}), "vault ledgers", "restore"),
    "a ledger is deleted": (deleted_ledger, "vault ledgers", "restore"),
    "a document keeps two versions": (
        at_vault(
            "POST",
            "secret/metadata/apps/billing",
            {"max_versions": 2},
            ("POST", "secret/metadata/apps/billing", {"max_versions": 1000}),
        ),
        "vault versions",
        "max_versions",
    ),
    "Vault deletes versions of a document": (
        at_vault(
            "POST",
            "secret/metadata/apps/billing",
            {"delete_version_after": "48h"},
            ("POST", "secret/metadata/apps/billing", {"delete_version_after": "0s"}),
        ),
        "vault expiry",
        "delete_version_after",
    ),
    "Vault deletes versions of a mount": (
        at_vault(
            "POST",
            "secret/config",
            {"delete_version_after": "48h"},
            ("POST", "secret/config", {"delete_version_after": "0s"}),
        ),
        "vault expiry",
        "delete_version_after",
    ),
    "the name of the provider does not exist": (
        configured(account='api_url = "https://no-such-host.internal"'),
        "acme name",
        "no-such-host.internal",
    ),
    "nothing listens at the provider's address": (
        configured(account=lambda _: f'api_url = "http://127.0.0.1:{free_port()}"'),
        "acme connection",
        "does not take a connection",
    ),
    "the proxy to the provider does not run": (
        configured(account=lambda _: f'proxy = "http://127.0.0.1:{free_port()}"'),
        "acme connection",
        "start the proxy",
    ),
    "the management key is refused": (
        kept("management-key", "5ec0e7f1-0000-4000-8000-0000000000a1"),
        "acme login",
        "replace the management key",
    ),
    "the management key lacks its right": (
        at_scaleway(
            lambda rig: rig.scaleway.edit_application(rig.scaleway.management_application_id, manager=False),
            lambda rig, _: rig.scaleway.edit_application(rig.scaleway.management_application_id, manager=True),
        ),
        "acme right",
        "IAMApplicationManager",
    ),
    "the provider answers with errors": (
        at_scaleway(
            lambda rig: rig.scaleway.faults.add(
                "status", method="GET", path="*/applications/*", status=500, times=None
            ),
            lambda rig, made: rig.scaleway.faults.remove(made.id),
        ),
        "acme applications",
        "the server failed",
    ),
    "an application does not exist": (
        configured((r'application_id = "[^"]*"', 'application_id = "5e0c1b8e-5f53-4b44-9a38-0d8bb2f6c1ab"')),
        "acme applications",
        "billing: application_id does not exist",
    ),
    "the quota is full": (quota(0), "acme quota", "quota is exhausted"),
    "the quota is nearly full": (quota(1), "acme quota", "one more key"),
    "a key is unmanaged": (
        at_scaleway(
            lambda rig: rig.scaleway.create_key(rig.bearers["billing"], description="by hand")[0],
            lambda rig, made: rig.scaleway.delete_key(made),
        ),
        "acme keys",
        "rotator revoke",
    ),
    "the name of the management key is not known": (
        configured(account="none"),
        "acme management key",
        "set access_key",
    ),
    "the management key named does not exist": (
        configured(account='access_key = "SCWNOSUCHKEY12345678"'),
        "acme management key",
        "SCWNOSUCHKEY12345678 does not exist",
    ),
    "the management key expires soon": (expiring(timedelta(days=5)), "acme management key", "expires in 4d"),
    "the clock of the provider is wrong": (
        at_scaleway(
            lambda rig: rig.scaleway.configure(date_skew=3600.0),
            lambda rig, _: rig.scaleway.configure(date_skew=0.0),
        ),
        "clocks",
        "acme",
    ),
    "the unit has failed": (unit(ActiveState="failed"), "unit", "journalctl"),
    "the unit does not run": (unit(ActiveState="inactive"), "unit", "systemctl enable --now"),
    "the unit does not start with the machine": (unit(UnitFileState="disabled"), "unit", "enable it"),
    "the unit is less restricted": (unit(ProtectSystem="no"), "unit", "ProtectSystem"),
    "the unit may execute what it wrote": (unit(MemoryDenyWriteExecute="no"), "unit", "MemoryDenyWriteExecute"),
    "the unit sees other users": (unit(PrivateUsers="no"), "unit", "PrivateUsers"),
    "the unit has capabilities": (unit(CapabilityBoundingSet="cap_sys_admin"), "unit", "CapabilityBoundingSet"),
    "the unit may write core files": (unit(LimitCORE="infinity"), "unit", "LimitCORE"),
    "the unit may be swapped out": (unit(MemorySwapMax="infinity"), "unit", "MemorySwapMax"),
    "the watchdog of the unit is off": (unit(WatchdogUSec="0"), "unit", "WatchdogSec"),
    "the unit starts again and again": (unit(NRestarts="12"), "unit", "journalctl"),
    "no monitor hears of a stopped daemon": (configured(more="[heartbeat]\n"), "heartbeat", "[heartbeat] url"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_one_line_with_its_remedy_and_every_other_line_is_as_before(
    patient: Rig, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, line, words = FAULTS[name]
    configure(patient)
    with fault(patient, monkeypatch):
        found = doctor(patient)
    red = {check.name: check for check in found if check.outcome in ("failed", "warning")}
    assert set(red) - {"notifications"} == {line}, red
    assert words in f"{red[line].message}: {red[line].remedy}"
    assert red[line].remedy
    assert "\n" not in red[line].message + red[line].remedy


def test_there_are_at_least_forty_faults() -> None:
    assert len(FAULTS) >= 40


def test_after_every_fault_nothing_is_red(patient: Rig) -> None:
    configure(patient)
    assert {check.name for check in doctor(patient) if check.outcome != "ok"} == {"notifications"}


# --- the machine, and the command -----------------------------------------------------------------------------------------


def test_sockets_and_groups_that_are_missing_are_named(patient: Rig) -> None:
    configure(patient, more=f'[control]\ndirectory = "{patient.directory}/none"\nread_group = "no-such-group"\n')
    red = {check.name: check for check in doctor(patient) if check.outcome == "failed"}
    assert set(red) == {"sockets", "groups"}
    assert "no-such-group" in red["groups"].message
    assert "groupadd" in red["groups"].remedy


def test_a_certificate_that_ends_soon_is_a_warning_and_one_that_lasts_is_not() -> None:
    now = datetime.now(UTC)
    for days, outcome in ((5, "warning"), (90, "ok")):
        way = Endpoint("https://vault.internal", certificate_ends=now + timedelta(days=days))
        (line,) = [check for check in diagnose(Facts(now, VaultFacts(way))).checks if check.name == "vault certificate"]
        assert line.outcome == outcome


def test_a_client_certificate_of_this_machine_shows_its_end_without_a_service(tmp_path: Path) -> None:
    authority, now = Authority(tmp_path), datetime.now(UTC)
    certificate, key = authority.issue("client", timedelta(days=5))
    ends = own_certificate_end(certificate, key)
    assert ends is not None
    assert timedelta(days=4) < ends - now <= timedelta(days=5)
    assert own_certificate_end(*authority.issue("ended", timedelta(minutes=-1))) is None
    assert own_certificate_end(key, certificate) is None
    way = Endpoint("https://vault.internal")
    for left, outcome in ((ends - now, "warning"), (timedelta(days=90), "ok")):
        facts = Facts(now, VaultFacts(way, client_certificate_ends=now + left))
        (line,) = [check for check in diagnose(facts).checks if check.name == "vault client certificate"]
        assert line.outcome == outcome


def test_documents_that_need_check_and_set_and_a_standby_are_shown(patient: Rig) -> None:
    configure(patient)
    path = "secret/metadata/apps/billing"
    patient.vault.admin("POST", path, {"cas_required": True})
    lines = {check.name: check for check in doctor(patient)}
    assert lines["vault check-and-set"] == Check("vault check-and-set", "ok", "required by Vault for 1 of 2 documents")
    patient.command("rotate", "billing")
    patient.vault.admin("POST", path, {"cas_required": False})
    standby = Facts(datetime.now(UTC), VaultFacts(Endpoint("https://vault.internal"), version="2.7.2", standby=True))
    (state,) = [check for check in diagnose(standby).checks if check.name == "vault state"]
    assert state.message == "unsealed, version 2.7.2, a standby that forwards calls"


def test_the_command_adds_the_unit_that_the_service_may_not_ask_for(
    patient: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Diagnosis(datetime.now(UTC), (Check("clocks", "ok", "they agree"), Check("sockets", "ok", "")))
    assert with_unit(found) == found
    with unit(ActiveState="failed")(patient, monkeypatch):
        names = [(check.name, check.outcome) for check in with_unit(found).checks]
    assert names == [("clocks", "ok"), ("unit", "failed"), ("sockets", "ok")]


def test_the_command_prints_a_line_for_each_check_and_ends_by_the_worst(patient: Rig) -> None:
    configure(patient)
    shown = patient.command("doctor", check=False)
    assert shown.returncode == 5, shown.stderr
    assert re.search(r"^ok +vault state +unsealed, version ", shown.stdout, re.MULTILINE)
    assert re.search(
        r"^warning +notifications +problems are sent to no person: set \[notifications\] targets",
        shown.stdout,
        re.MULTILINE,
    )
    with quota(0)(patient, pytest.MonkeyPatch()):
        found = patient.command("doctor", "--json", check=False)
    assert found.returncode == json.loads(found.stdout)["exit_code"] == 1
    patient.check_no_secret(shown.stdout, found.stdout)


def test_through_the_daemon_doctor_needs_neither_credentials_nor_the_configuration(
    patient: Rig, tmp_path: Path
) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o755)
    configure(patient, more=f'[control]\ndirectory = "{sockets}"\n')
    daemon = patient.daemon()
    try:
        wait_until(
            lambda: (sockets / "control.sock").exists() and (sockets / "read.sock").exists(), "the daemon listens"
        )
        with kept("secret-id", "00000000-1111-4222-8333-444444444444")(patient, pytest.MonkeyPatch()):
            found = patient.command("doctor", "--json", check=False)
        lines = {check["name"]: check["outcome"] for check in json.loads(found.stdout)["checks"]}
        assert lines["vault login"] == "ok", "the daemon has its own login"
        assert lines["sockets"] == "ok"
    finally:
        daemon.end()
        patient.daemons.remove(daemon)
