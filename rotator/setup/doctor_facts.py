"""Collects the facts for ``rotator doctor``: from Vault, the accounts and this machine. Reads only;
each account in its own thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from rotator.config import Auth, Configuration, Heartbeat, Notifications, Reference
from rotator.domain.facts import ExaminedAccount, Facts, MachineFacts, UnitFacts
from rotator.domain.ports import Provider
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationError, RotatorError
from rotator.http.reachability import own_certificate_end
from rotator.providers.account_facts import examine_account
from rotator.system.service_facts import missing_groups, socket_fault, unit_properties
from rotator.util.concurrency import run_concurrently
from rotator.vault.kv_store import KvStore
from rotator.vault.vault_facts import endpoint, examine_vault


def collect(
    configuration: Configuration,
    store: KvStore,
    provider: Callable[[str], Provider],
    key_in_use: Callable[[str], str],
    now: Callable[[], datetime],
) -> Facts:
    """All facts for ``rotator doctor``. Does not raise because of an answer or the lack of one."""
    found, specs = configuration.vault, configuration.specs
    vault = examine_vault(store, endpoint(found.address, found.ca_cert, found.proxy), specs.values())
    vault = replace(vault, client_certificate_ends=_client_certificate_end(found.auth))
    sound = {one.application for one in vault.documents if not (one.fault or one.ledger_fault or one.missing_rights)}

    def known(spec: ApplicationSpec) -> frozenset[str] | None:
        return _known_keys(store, spec) if spec.application in sound else None

    def examine(name: str) -> ExaminedAccount:
        account = configuration.accounts[name]
        way = endpoint(account.api_url, account.ca_cert, account.proxy)
        facts = ExaminedAccount(name, way, key=key_in_use(name), rotates_itself=bool(account.own_key))
        return examine_account(facts, provider(name), [spec for spec in specs.values() if spec.account == name], known)

    names = list(configuration.accounts)
    results = run_concurrently(examine, names)
    accounts = tuple(
        result
        if isinstance(result, ExaminedAccount)
        else ExaminedAccount(name, endpoint("", None, None), fault=str(result))
        for name, result in zip(names, results, strict=True)
    )
    return Facts(now(), vault, accounts, _machine(configuration), configuration.daemon.max_clock_skew)


def _client_certificate_end(auth: Auth) -> datetime | None:
    if auth.certificate is None or auth.key is None:
        return None
    return own_certificate_end(auth.certificate.file(), auth.key.file())


def _known_keys(store: KvStore, spec: ApplicationSpec) -> frozenset[str] | None:
    try:
        ledger, _ = store.read_ledger(spec.application)
        published = store.read_document(spec.path, spec.access_field, spec.secret_field).access_key
    except RotatorError:
        return None
    names = {published} if published else set()
    if ledger is not None:
        names |= {key.access_key for key in ledger.retiring} | {key.access_key for key in ledger.revoking}
        names |= {key.access_key for key in ledger.compromised}
        names |= {ledger.current.access_key} if ledger.current else set()
    return frozenset(names) or None


def _machine(configuration: Configuration) -> MachineFacts:
    control = configuration.control
    groups = (control.read_group, control.control_group) if control else ()
    return MachineFacts(
        unit=UnitFacts(unit_properties()),
        sockets=str(control.directory) if control else "",
        socket_fault=socket_fault(control.directory) if control else "",
        missing_groups=missing_groups(groups),
        heartbeat=configuration.heartbeat.url is not None,
        heartbeat_fault=_heartbeat_fault(configuration.heartbeat),
        notifications=len(configuration.notifications.targets),
        notification_fault=_notification_fault(configuration.notifications),
    )


def _heartbeat_fault(heartbeat: Heartbeat) -> str:
    return _fault(heartbeat.url) if heartbeat.url else ""


def _notification_fault(notifications: Notifications) -> str:
    return next((fault for reference in notifications.targets if (fault := _fault(reference))), "")


def _fault(reference: Reference) -> str:
    """Why the address behind a reference cannot be read. The address is a secret and not
    repeated."""
    try:
        reference.check()
    except ConfigurationError as error:
        return str(error)
    return ""
