"""From the file to plain values: read, validate table by table, check what options mean together, convert.

A table with a bad option still has its good ones looked at, so that all problems are told at once.
"""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from rotator.config import schema
from rotator.config.needed import check_placeholders, needed, users_of
from rotator.config.problems import Problems, dotted
from rotator.config.renamed import translate
from rotator.config.runtime_directory import configured_directory, default_directory, socket_path_fault
from rotator.config.settings import (
    Account,
    Auth,
    Configuration,
    Control,
    Daemon,
    Heartbeat,
    Listener,
    Notifications,
    OwnSecretId,
    Vault,
    Webhook,
)
from rotator.config.specs import NAME, build, own_key_name
from rotator.domain.document import DEFAULT_FIELDS
from rotator.errors import ConfigurationError
from rotator.system.access import absence
from rotator.system.installation import advice
from rotator.system.trust import UntrustedFile, file_problem, read_file
from rotator.util.addresses import is_loopback
from rotator.util.suggestions import closest_match

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

    from rotator.config.secret_reference import Reference

_TABLES = (
    "vault",
    "accounts",
    "defaults",
    "applications",
    "daemon",
    "control",
    "webhook",
    "metrics",
    "heartbeat",
    "notifications",
)

_LARGEST = 64 * 1024 * 1024
"""Bytes of a configuration that are read; one with ten thousand applications needs a part of it."""

_METHODS = {
    "approle": (("role_id",), ("secret_id", "mount", "own_secret_id")),
    "cert": (("certificate", "key"), ("role", "mount")),
    "jwt": (("role", "jwt"), ("mount",)),
    "token": (("token",), ()),
}
"""What each way to log in needs, and what else it takes."""


def load(path: Path, *, only: Collection[str] = (), credentials: bool = True) -> Configuration:
    """The configuration in that file. Contacts nothing; raises ``ConfigurationError`` with every problem found.

    ``only``: the applications that it is read for; what is wrong with others alone is in ``set_aside``. Without ``credentials``
    the files that it names are not looked at.
    """
    problems = Problems(str(path), files=credentials)
    data = _parse(path, problems)
    problems.stop()
    problems.only = needed(data, only)
    warnings = translate(data, problems)
    for name in data:
        if name not in _TABLES:
            problems.add(dotted(name), f"is not an option here; {closest_match(name, _TABLES)}")
    folder = path.absolute().parent
    users = users_of(data)
    vault = _vault(data, folder, problems)
    daemon = _daemon(data, problems)
    control = _control(data, problems)
    with problems.concerning(()):  # what the daemon alone, or no rotation, needs
        listen = _listen(data, problems)
        webhook = _webhook(data, folder, problems)
        heartbeat = _heartbeat(data, folder, problems) or _heartbeat({}, folder, problems)
        notifications = _notifications(data, folder, problems) or _notifications({}, folder, problems)
    accounts = _accounts(data, folder, users, problems)
    own_keys = _own_keys(data, users, problems)
    defaults = read(schema.Defaults, data.get("defaults", {}), ("defaults",), problems)
    applications = _applications(data, problems)
    check_placeholders(data, users, problems)
    ledger_path = _table(data, "vault").get("ledger_path")
    specs = build(applications | own_keys, defaults, accounts, users, ledger_path, daemon, problems)
    problems.stop()
    specs = {name: spec for name, spec in specs.items() if name not in problems.left_out}
    if vault is None or daemon is None or heartbeat is None or notifications is None:
        raise AssertionError("a table without problems was not converted")
    used = {spec.account for spec in specs.values()} if problems.only else accounts.keys()
    sound = {name: account for name, account in accounts.items() if account and name in used}
    return Configuration(
        path=path,
        vault=vault,
        accounts=sound,
        specs=specs,
        daemon=daemon,
        heartbeat=heartbeat,
        notifications=notifications,
        listen=listen,
        control=control,
        webhook=webhook,
        warnings=warnings,
        set_aside=problems.set_aside,
        left_out=frozenset({*_table(data, "applications"), *own_keys} - specs.keys()),
    )


def _applications(data: dict[str, Any], problems: Problems) -> dict[str, dict[str, Any]]:
    found = {}
    for name, raw in _named(data, "applications", problems).items():
        with problems.concerning((name,)):
            found[name] = read(schema.Application, raw, ("applications", name), problems)
    return found


def read(table: type[schema.Table], raw: object, where: tuple[str, ...], problems: Problems) -> dict[str, Any]:
    """The options that are set in one table and are valid; what is not goes to ``problems``."""
    errors: list[ErrorDetails] = []
    try:
        found = table.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    else:
        return {name: getattr(found, name) for name in found.model_fields_set}
    problems.add_invalid(table, where, errors)
    bad = {error["loc"][0] if error["loc"] else "" for error in errors}
    if not isinstance(raw, dict):
        return {}
    found = table.model_construct()
    good = [name for name in raw if name not in bad]
    for name in good:
        setattr(found, name, raw[name])
    return {name: getattr(found, name) for name in good}


# --- the file -------------------------------------------------------------------------------------------------------------


def _parse(path: Path, problems: Problems) -> dict[str, Any]:
    try:
        text = read_file(path, _LARGEST).decode()
    except FileNotFoundError:
        problems.add(
            "",
            "there is no configuration here; begin with config/rotator.small.toml of the project, or say where yours is "
            "with --config FILE or $ROTATOR_CONFIG (to see everything work without any configuration: rotator demo)",
        )
    except PermissionError:
        problems.add("", "this user may not read it; run as the user of the service, or as root", private=True)
    except UnicodeDecodeError:
        problems.add("", "is not text in UTF-8; save it again as UTF-8")
    except UntrustedFile as error:
        problems.add("", str(error.strerror))
    except OSError:
        problems.add("", "cannot be read; name a plain file")
    else:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            # The message of the parser names the place and at most one character of what stands there.
            message = str(error)
            problems.add("", f"is not TOML: {message[:1].lower()}{message[1:]}; correct it there or just before")
        except ValueError:
            problems.add("", "is not TOML: it holds a number of thousands of digits; write the number that is meant")
        except RecursionError:
            problems.add("", "is nested far too deeply; write plain tables")
    return {}


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _named(data: dict[str, Any], name: str, problems: Problems) -> dict[str, Any]:
    """A table of tables, without those whose names are no names."""
    raw = data.get(name, {})
    if not isinstance(raw, dict):
        problems.add(name, f"is not a table; write [{name}.NAME]")
        return {}
    for key in raw:
        if not NAME.fullmatch(key):
            with problems.concerning((key,)):
                problems.add(
                    dotted(name, key),
                    'is not a good name; write at most 64 of "a-z", "0-9", ".", "_" and "-", the first a letter or digit',
                )
    return {key: value for key, value in raw.items() if NAME.fullmatch(key)}


# --- vault ----------------------------------------------------------------------------------------------------------------


def _vault(data: dict[str, Any], folder: Path, problems: Problems) -> Vault | None:
    if "vault" not in data:
        problems.add("vault", "is missing: write [vault] with address, auth and ledger_path")
        return None
    options = read(schema.Vault, data["vault"], ("vault",), problems)
    _check_address(options, "address", ("vault",), problems)
    address, api, rest = options.get("address", "").rstrip("/").rpartition("/v1")
    if api and not rest:
        problems.add("vault.address", f'ends with the path of the API, which rotator adds itself; write "{address}"')
    auth = _auth(options.get("auth"), folder, problems)
    ca_cert = _check_file(options.get("ca_cert"), "vault.ca_cert", folder, problems)
    complete = _complete(schema.Vault, options)
    if auth is None or complete is None:
        return None
    del complete["allow_http"]
    return Vault(**complete | {"auth": auth, "ca_cert": ca_cert, "namespace": complete["namespace"] or ""})


def _auth(auth: schema.Auth | None, folder: Path, problems: Problems) -> Auth | None:
    if auth is None:
        return None
    needed, optional = _METHODS[auth.method]
    given = auth.model_fields_set - {"method"}
    for name in sorted(given - {*needed, *optional}):
        problems.add(f"vault.auth.{name}", f'does not belong to method "{auth.method}"; leave it out, or choose another method')
    for name in needed:
        if name not in given:
            problems.add(f"vault.auth.{name}", f'is missing: method "{auth.method}" needs it')
    options = {name: getattr(auth, name) for name in auth.model_fields_set}
    for name in sorted(given & {"role_id", "secret_id", "certificate", "key", "jwt", "token"}):
        reference: Reference = getattr(auth, name).within(folder)
        options[name] = reference
        if reference.kind == "vault":
            problems.add(f"vault.auth.{name}", "is in Vault, which cannot be read before the login; use file: or credential:")
        else:
            _check_reference(reference, f"vault.auth.{name}", problems, pem=name)
    if own := options.pop("own_secret_id", None):
        if own.grace >= own.every:
            problems.add(
                "vault.auth.own_secret_id.grace",
                "is not shorter than every, so old secret ids would pile up; write a shorter one",
            )
        options["own_secret_id"] = OwnSecretId(own.role, own.every, own.grace, folder / own.file)
    return Auth(**{"mount": auth.method if auth.method != "token" else ""} | options)


# --- accounts -------------------------------------------------------------------------------------------------------------


def _accounts(data: dict[str, Any], folder: Path, users: Mapping[str, set[str]], problems: Problems) -> dict[str, Account | None]:
    """The accounts; None for one that has problems, so that applications may still name it."""
    if not data.get("accounts"):
        problems.add("accounts", "is missing: write [accounts.NAME] with organization_id and secret_key")
        return {}
    if "vault" in data["accounts"]:
        problems.add("accounts.vault", "has the name by which we speak of Vault itself; write another one")
    found: dict[str, Account | None] = {}
    for name, raw in _named(data, "accounts", problems).items():
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
    options = read(schema.Account, raw, where, problems)
    _check_address(options, "api_url", where, problems)
    ca_cert = _check_file(options.get("ca_cert"), dotted(*where, "ca_cert"), folder, problems)
    if "secret_key" in options:
        options["secret_key"] = options["secret_key"].within(folder)
        _check_reference(options["secret_key"], dotted(*where, "secret_key"), problems)
    complete = _complete(schema.Account, options)
    if complete is None:
        return None
    del complete["allow_http"]
    return Account(**complete | {"name": name, "ca_cert": ca_cert, "own_key": own_key})


def _own_keys(data: dict[str, Any], users: Mapping[str, set[str]], problems: Problems) -> dict[str, dict[str, Any]]:
    """The management keys that are rotated themselves, as applications by name."""
    found: dict[str, dict[str, Any]] = {}
    for account, raw in _table(data, "accounts").items():
        if not NAME.fullmatch(account) or not isinstance(raw, dict) or "own_key" not in raw:
            continue
        name, where = own_key_name(account), ("accounts", account, "own_key")
        with problems.concerning(users[account]):
            options = read(schema.OwnKey, raw["own_key"], where, problems)
            for option in sorted({"account", "fields"} & options.keys()):
                problems.add(dotted(*where, option), "cannot be chosen for the key of an account; leave it out")
            if name in _table(data, "applications"):
                problems.add(dotted("applications", name), f"has the name of the key of account {account}; write another one")
            if not NAME.fullmatch(name):
                problems.add(
                    dotted(*where), f"needs the name {name} for its application, which is too long; write a shorter account"
                )
        found[name] = options | {"account": account, "fields": DEFAULT_FIELDS}
    return found


# --- common ---------------------------------------------------------------------------------------------------------------


def _daemon(data: dict[str, Any], problems: Problems) -> Daemon | None:
    complete = _complete(schema.Daemon, read(schema.Daemon, data.get("daemon", {}), ("daemon",), problems))
    return Daemon(**complete) if complete else None


def _listen(data: dict[str, Any], problems: Problems) -> Listener | None:
    options = read(schema.Metrics, data.get("metrics", {}), ("metrics",), problems)
    listen: Listener | None = options.get("listen")
    if listen and listen.path and (fault := socket_path_fault(listen.path)):
        problems.add("metrics.listen", fault)
    if listen and not listen.path and not is_loopback(listen.host) and not options.get("allow_remote"):
        problems.add(
            "metrics.listen",
            "is an address that other machines reach, and everybody there could read it; write 127.0.0.1, or set allow_remote",
        )
    return listen


def _control(data: dict[str, Any], problems: Problems) -> Control | None:
    options = read(schema.Control, data.get("control", {}), ("control",), problems)
    directory: Path = options.get("directory") or default_directory()
    if not directory.is_absolute():
        problems.add("control.directory", 'is not an absolute path; write one such as "/run/rotator"')
    if fault := socket_path_fault(directory / "control.sock"):
        problems.add("control.directory", fault)
    enabled = options.get("enabled")
    if not (enabled if enabled is not None else "control" in data or configured_directory()):
        return None
    return Control(directory, options.get("read_group") or "", options.get("control_group") or "")


def _webhook(data: dict[str, Any], folder: Path, problems: Problems) -> Webhook | None:
    options = read(schema.Webhook, data.get("webhook", {}), ("webhook",), problems)
    at: Listener | None = options.get("listen")
    said = _table(data, "webhook").keys()  # what was written badly is told already, and is not missing too
    references: dict[str, Reference] = {
        name: options[name].within(folder) for name in ("signing_key", "token", "certificate", "key") if options.get(name)
    }
    for name, reference in references.items():
        if reference.kind == "vault":
            problems.add(
                f"webhook.{name}", "is in Vault, and an emergency must get in when Vault is slow; use file: or credential:"
            )
        else:
            _check_reference(reference, f"webhook.{name}", problems, pem=name)
    client_ca = _check_file(options.get("client_ca"), "webhook.client_ca", folder, problems)
    if at is None:
        return None
    if at.path is not None:
        problems.add("webhook.listen", "is a socket of this machine; that is what [control] is for; write an address and a port")
    if "signing_key" not in said:
        problems.add("webhook.signing_key", "is missing: nobody could prove who they are; write a reference to a random key")
    if not said & {"token", "client_ca"}:
        problems.add("webhook.token", "is missing: write a reference to a random token, or client_ca, or both")
    if ("certificate" in said) != ("key" in said):
        problems.add("webhook.certificate", "and key belong together; write both")
    elif "certificate" not in said and (client_ca is not None or not is_loopback(at.host)):
        problems.add(
            "webhook.certificate", "is missing: without TLS everybody on the way can read the token; write certificate and key"
        )
    complete = _complete(schema.Webhook, options)
    if complete is None or "signing_key" not in references:
        return None
    return Webhook(at=at, client_ca=client_ca, rate_limit=complete["rate_limit"], **references)


def _heartbeat(data: dict[str, Any], folder: Path, problems: Problems) -> Heartbeat | None:
    options = read(schema.Heartbeat, data.get("heartbeat", {}), ("heartbeat",), problems)
    ca_cert = _check_file(options.get("ca_cert"), "heartbeat.ca_cert", folder, problems)
    if url := options.get("url"):
        options["url"] = url = url.within(folder)
        _check_destination(url, "heartbeat.url", problems)
        if url.kind != "vault":
            _check_url(url, options, problems)
    complete = _complete(schema.Heartbeat, options)
    if complete is None:
        return None
    del complete["allow_http"]
    return Heartbeat(**complete | {"ca_cert": ca_cert})


def _notifications(data: dict[str, Any], folder: Path, problems: Problems) -> Notifications | None:
    options = read(schema.Notifications, data.get("notifications", {}), ("notifications",), problems)
    options["targets"] = tuple(reference.within(folder) for reference in options.get("targets") or ())
    for reference in options["targets"]:
        _check_destination(reference, "notifications.targets", problems)
    if options["targets"] and find_spec("apprise") is None:
        problems.add(
            "notifications.targets", f"needs the library apprise, which is not installed here; run: {advice('notify', 'check')}"
        )
    complete = _complete(schema.Notifications, options)
    return Notifications(**complete) if complete else None


def _check_destination(reference: Reference, path: str, problems: Problems) -> None:
    if reference.kind == "vault":
        problems.add(path, "is in Vault, which may be the service that fails; use file: or credential:")
    else:
        _check_reference(reference, path, problems)


def _check_url(reference: Reference, options: dict[str, Any], problems: Problems) -> None:
    """The address itself is a secret, so it is looked at here and not shown."""
    if not problems.files:
        return
    try:
        parts = urlsplit(reference.resolve().reveal())
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ConfigurationError:
        return  # told already
    except ValueError:
        sound = None
    if not sound:
        problems.add("heartbeat.url", f"{reference} holds no web address; put one such as https://ping.example.com/TOKEN into it")
        return
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not options.get("allow_http"):
        problems.add(
            "heartbeat.url",
            f"{reference} holds an address without TLS, so everybody on the way can read it; use https://, or set allow_http",
        )
    _check_proxy(parts, options, ("heartbeat",), problems)


def _complete(table: type[schema.Table], options: dict[str, Any]) -> dict[str, Any] | None:
    """The options with the defaults of those that are not set; None when a required one is missing."""
    if any(field.is_required() and name not in options for name, field in table.model_fields.items()):
        return None
    return {name: options.get(name, field.default) for name, field in table.model_fields.items()}


def _check_address(options: dict[str, Any], name: str, where: tuple[str, ...], problems: Problems) -> None:
    parts = urlsplit(options.get(name, ""))
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not options.get("allow_http"):
        problems.add(
            dotted(*where, name), "is without TLS, so everybody on the way can read secrets; write https://, or set allow_http"
        )
    _check_proxy(parts, options, where, problems)


def _check_proxy(parts: SplitResult, options: dict[str, Any], where: tuple[str, ...], problems: Problems) -> None:
    """A request without TLS that goes through another machine can be read there, also when its address is this machine."""
    proxy = urlsplit(options.get("proxy") or "").hostname or ""
    if parts.scheme != "http" or not proxy or is_loopback(proxy):
        return
    if is_loopback(parts.hostname or ""):
        problems.add(dotted(*where, "proxy"), "is another machine, and the address without TLS is of this one; leave out proxy")
    elif not options.get("allow_http"):
        problems.add(
            dotted(*where, "proxy"), "is another machine, and can read what goes to an address without TLS; write https://"
        )


def _check_file(file: Path | None, path: str, folder: Path, problems: Problems) -> Path | None:
    if file is None:
        return None
    file = folder / file
    if not problems.files:
        return file
    if missing := absence(file):
        problems.add(path, f"{missing}: {file}; correct the path or create the file")
    elif not file.is_file():
        problems.add(path, f"is not a plain file: {file}; correct the path")
    elif problem := file_problem(file.stat()):
        problems.add(path, f"{file} {problem}")
    return file


def _check_reference(reference: Reference, path: str, problems: Problems, *, pem: str = "") -> None:
    """``pem`` is ``"certificate"`` for a file that everybody may read, ``"key"`` for one that has many lines."""
    if not problems.files:
        return
    if pem == "certificate" and reference.kind == "file":
        _check_file(reference.file(), path, Path(), problems)
        return
    try:
        reference.check(lines=pem in ("certificate", "key"))
    except ConfigurationError as error:
        for problem in error.problems:
            problems.add(path, f"{problem.file} {problem.message}", private=problem.private)
