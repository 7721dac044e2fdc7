"""Reads each section of the configuration into its settings; None for a section with problems."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rotator.config import schema
from rotator.config.checks import check_address, check_destination, check_file, check_reference, check_url
from rotator.config.problems import Problems, dotted
from rotator.config.runtime_directory import configured_directory, default_directory, socket_path_fault
from rotator.config.settings import (
    Account,
    Auth,
    Control,
    Daemon,
    Heartbeat,
    Listener,
    Notifications,
    OwnSecretId,
    Vault,
    Webhook,
)
from rotator.config.specs import NAME, own_key_name
from rotator.config.table_reader import named_tables, read_table, table_of, with_defaults
from rotator.domain.document import DEFAULT_FIELDS
from rotator.system.installation import advice
from rotator.util.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.config.secret_reference import Reference

_METHODS = {
    "approle": (("role_id",), ("secret_id", "mount", "own_secret_id")),
    "cert": (("certificate", "key"), ("role", "mount")),
    "jwt": (("role", "jwt"), ("mount",)),
    "token": (("token",), ()),
}
"""The options that each login method requires, and those it also accepts."""


def read_vault(data: dict[str, Any], folder: Path, problems: Problems) -> Vault | None:
    """`[vault]`."""
    if "vault" not in data:
        problems.add("vault", "is missing: write [vault] with address, auth and ledger_path")
        return None
    options = read_table(schema.VaultTable, data["vault"], ("vault",), problems)
    check_address(options, "address", ("vault",), problems)
    address, api, rest = options.get("address", "").rstrip("/").rpartition("/v1")
    if api and not rest:
        problems.add("vault.address", f'ends with the path of the API, which rotator adds itself; write "{address}"')
    auth = _auth(options.get("auth"), folder, problems)
    ca_cert = check_file(options.get("ca_cert"), "vault.ca_cert", folder, problems)
    complete = with_defaults(schema.VaultTable, options)
    if auth is None or complete is None:
        return None
    del complete["allow_http"]
    return Vault(**complete | {"auth": auth, "ca_cert": ca_cert, "namespace": complete["namespace"] or ""})


def _auth(auth: schema.AuthTable | None, folder: Path, problems: Problems) -> Auth | None:
    if auth is None:
        return None
    needed, optional = _METHODS[auth.method]
    given = auth.model_fields_set - {"method"}
    for name in sorted(given - {*needed, *optional}):
        problems.add(
            f"vault.auth.{name}", f'does not belong to method "{auth.method}"; leave it out, or choose another method'
        )
    for name in needed:
        if name not in given:
            problems.add(f"vault.auth.{name}", f'is missing: method "{auth.method}" needs it')
    options = {name: getattr(auth, name) for name in auth.model_fields_set}
    for name in sorted(given & {"role_id", "secret_id", "certificate", "key", "jwt", "token"}):
        reference: Reference = getattr(auth, name).within(folder)
        options[name] = reference
        if reference.kind == "vault":
            problems.add(
                f"vault.auth.{name}", "is in Vault, which cannot be read before the login; use file: or credential:"
            )
        else:
            check_reference(reference, f"vault.auth.{name}", problems, pem=name)
    if own := options.pop("own_secret_id", None):
        if own.grace >= own.every:
            problems.add(
                "vault.auth.own_secret_id.grace",
                "is not shorter than every, so old secret ids would pile up; write a shorter one",
            )
        options["own_secret_id"] = OwnSecretId(own.role, own.every, own.grace, folder / own.file)
    return Auth(**{"mount": auth.method if auth.method != "token" else ""} | options)


def read_accounts(
    data: dict[str, Any], folder: Path, users: Mapping[str, set[str]], problems: Problems
) -> dict[str, Account | None]:
    """The accounts; None for one with problems, so that applications can still name it."""
    if not data.get("accounts"):
        problems.add("accounts", "is missing: write [accounts.NAME] with organization_id and secret_key")
        return {}
    if "vault" in data["accounts"]:
        problems.add("accounts.vault", "has the reserved name of Vault; write another one")
    found: dict[str, Account | None] = {}
    for name, raw in named_tables(data, "accounts", problems).items():
        with problems.concerning(users[name]):
            found[name] = _account(name, raw, folder, problems)
    return found


def _account(name: str, raw: object, folder: Path, problems: Problems) -> Account | None:
    where = ("accounts", name)
    own_key = own_key_name(name) if isinstance(raw, dict) and "own_key" in raw else ""
    if own_key and isinstance(raw, dict):
        raw = {option: value for option, value in raw.items() if option != "own_key"}
    elif isinstance(raw, dict) and "secret_key" not in raw:
        problems.add(dotted(*where, "secret_key"), "is missing: write a reference to the management key, or own_key")
    options = read_table(schema.AccountTable, raw, where, problems)
    check_address(options, "api_url", where, problems)
    ca_cert = check_file(options.get("ca_cert"), dotted(*where, "ca_cert"), folder, problems)
    if "secret_key" in options:
        options["secret_key"] = options["secret_key"].within(folder)
        check_reference(options["secret_key"], dotted(*where, "secret_key"), problems)
    complete = with_defaults(schema.AccountTable, options)
    if complete is None:
        return None
    del complete["allow_http"]
    return Account(**complete | {"name": name, "ca_cert": ca_cert, "own_key": own_key})


def read_own_keys(data: dict[str, Any], users: Mapping[str, set[str]], problems: Problems) -> dict[str, dict[str, Any]]:
    """The management keys that are rotated as applications, by name."""
    found: dict[str, dict[str, Any]] = {}
    for account, raw in table_of(data, "accounts").items():
        if not NAME.fullmatch(account) or not isinstance(raw, dict) or "own_key" not in raw:
            continue
        name, where = own_key_name(account), ("accounts", account, "own_key")
        with problems.concerning(users[account]):
            options = read_table(schema.OwnKeyTable, raw["own_key"], where, problems)
            for option in sorted({"account", "fields"} & options.keys()):
                problems.add(dotted(*where, option), "cannot be chosen for the key of an account; leave it out")
            if name in table_of(data, "applications"):
                problems.add(
                    dotted("applications", name), f"has the name of the key of account {account}; write another one"
                )
            if not NAME.fullmatch(name):
                problems.add(
                    dotted(*where),
                    f"needs the name {name} for its application, which is too long; write a shorter account",
                )
        found[name] = options | {"account": account, "fields": DEFAULT_FIELDS}
    return found


def read_applications(data: dict[str, Any], problems: Problems) -> dict[str, dict[str, Any]]:
    """The valid options of each application, by name."""
    found = {}
    for name, raw in named_tables(data, "applications", problems).items():
        with problems.concerning((name,)):
            found[name] = read_table(schema.ApplicationTable, raw, ("applications", name), problems)
    return found


def read_daemon(data: dict[str, Any], problems: Problems) -> Daemon | None:
    """`[daemon]`."""
    complete = with_defaults(
        schema.DaemonTable, read_table(schema.DaemonTable, data.get("daemon", {}), ("daemon",), problems)
    )
    return Daemon(**complete) if complete else None


def read_listen(data: dict[str, Any], problems: Problems) -> Listener | None:
    """The address of `[metrics]`, if any."""
    options = read_table(schema.MetricsTable, data.get("metrics", {}), ("metrics",), problems)
    listen: Listener | None = options.get("listen")
    if listen and listen.path and (fault := socket_path_fault(listen.path)):
        problems.add("metrics.listen", fault)
    if listen and not listen.path and not is_loopback(listen.host) and not options.get("allow_remote"):
        problems.add(
            "metrics.listen",
            "is an address that other machines reach, and every user there could read it; write 127.0.0.1, or set "
            "allow_remote",
        )
    return listen


def read_control(data: dict[str, Any], problems: Problems) -> Control | None:
    """`[control]`; None without sockets."""
    options = read_table(schema.ControlTable, data.get("control", {}), ("control",), problems)
    directory: Path = options.get("directory") or default_directory()
    if not directory.is_absolute():
        problems.add("control.directory", 'is not an absolute path; write one such as "/run/rotator"')
    if fault := socket_path_fault(directory / "control.sock"):
        problems.add("control.directory", fault)
    enabled = options.get("enabled")
    if not (enabled if enabled is not None else "control" in data or configured_directory()):
        return None
    return Control(directory, options.get("read_group") or "", options.get("control_group") or "")


def read_webhook(data: dict[str, Any], folder: Path, problems: Problems) -> Webhook | None:
    """`[webhook]`; None if not configured."""
    options = read_table(schema.WebhookTable, data.get("webhook", {}), ("webhook",), problems)
    at: Listener | None = options.get("listen")
    stated = table_of(data, "webhook").keys()  # an invalid option is reported already and not missing
    references: dict[str, Reference] = {
        name: options[name].within(folder)
        for name in ("signing_key", "token", "certificate", "key")
        if options.get(name)
    }
    for name, reference in references.items():
        if reference.kind == "vault":
            problems.add(
                f"webhook.{name}",
                "is in Vault, and an emergency must get in when Vault is slow; use file: or credential:",
            )
        else:
            check_reference(reference, f"webhook.{name}", problems, pem=name)
    client_ca = check_file(options.get("client_ca"), "webhook.client_ca", folder, problems)
    if at is None:
        return None
    if at.path is not None:
        problems.add(
            "webhook.listen", "is a socket of this machine; that is what [control] is for; write an address and a port"
        )
    if "signing_key" not in stated:
        problems.add(
            "webhook.signing_key", "is missing: callers could not be authenticated; write a reference to a random key"
        )
    if not stated & {"token", "client_ca"}:
        problems.add("webhook.token", "is missing: write a reference to a random token, or client_ca, or both")
    if ("certificate" in stated) != ("key" in stated):
        problems.add("webhook.certificate", "and key belong together; write both")
    elif "certificate" not in stated and (client_ca is not None or not is_loopback(at.host)):
        problems.add(
            "webhook.certificate",
            "is missing: without TLS the token would cross the network unencrypted; write certificate and key",
        )
    complete = with_defaults(schema.WebhookTable, options)
    if complete is None or "signing_key" not in references:
        return None
    return Webhook(at=at, client_ca=client_ca, rate_limit=complete["rate_limit"], **references)


def read_heartbeat(data: dict[str, Any], folder: Path, problems: Problems) -> Heartbeat | None:
    """`[heartbeat]`."""
    options = read_table(schema.HeartbeatTable, data.get("heartbeat", {}), ("heartbeat",), problems)
    ca_cert = check_file(options.get("ca_cert"), "heartbeat.ca_cert", folder, problems)
    if url := options.get("url"):
        options["url"] = url = url.within(folder)
        check_destination(url, "heartbeat.url", problems)
        if url.kind != "vault":
            check_url(url, options, problems)
    complete = with_defaults(schema.HeartbeatTable, options)
    if complete is None:
        return None
    del complete["allow_http"]
    return Heartbeat(**complete | {"ca_cert": ca_cert})


def read_notifications(data: dict[str, Any], folder: Path, problems: Problems) -> Notifications | None:
    """`[notifications]`."""
    options = read_table(schema.NotificationsTable, data.get("notifications", {}), ("notifications",), problems)
    options["targets"] = tuple(reference.within(folder) for reference in options.get("targets") or ())
    for reference in options["targets"]:
        check_destination(reference, "notifications.targets", problems)
    if options["targets"] and find_spec("apprise") is None:
        problems.add(
            "notifications.targets",
            f"needs the library apprise, which is not installed here; run: {advice('notify', 'check')}",
        )
    complete = with_defaults(schema.NotificationsTable, options)
    return Notifications(**complete) if complete else None
