"""Finds the application of an access key: asks each account once, then the ledgers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rotator.decision.transitions.revocation import is_verified_revoked
from rotator.domain.access_key import access_key_fault
from rotator.domain.keys import Key, management_key_message
from rotator.domain.ledger import Ledger
from rotator.domain.ports import Provider
from rotator.domain.spec import ApplicationSpec
from rotator.errors import LedgerUnreadable, Refused, Rejected, ServiceError, TooManyKeys, Unavailable
from rotator.operations.ledgers import read_whole_ledger
from rotator.operations.refusal import OperationError
from rotator.operations.runtime import Runtime
from rotator.util.concurrency import as_completed, run_concurrently

MAX_BY_NAME = 3
"""Up to this number, keys are requested by name; above it, all keys of each account are listed."""


@dataclass(frozen=True)
class KeyLookup:
    """The account that has a key, and the application whose bearer it has or whose ledger names it.

    Without ``key`` no account has it any more. Without ``spec`` it belongs, and belonged, to no
    configured application. ``version`` of the credential document publishes it; 0 if none does, or
    if it may not be read.
    """

    access_key: str
    account: str = ""
    key: Key | None = None
    spec: ApplicationSpec | None = None
    ledger: Ledger | None = None
    version: int = 0
    account_error: str = ""
    """Why the account could not be read, if only the ledger names the key."""
    unread: tuple[str, ...] = ()
    """Applications whose ledger could not be read, if the key may belong to one of them."""


def refuse_malformed_keys(names: Iterable[str], known: Collection[str] = ()) -> None:
    """Refuses names that are nearly an access key and no application, with what is wrong with
    them."""
    for name in names:
        if name not in known and (fault := access_key_fault(name)):
            raise OperationError("usage", f"{name.strip()} is no access key: it {fault}")


def look_up_keys(runtime: Runtime, access_keys: Sequence[str], *, urgent: bool = True) -> tuple[KeyLookup, ...]:
    """Looks up each key, in order. If an account does not answer, the ledgers are used. Raises when
    a key may belong to such an account and no ledger shows its state. ``urgent``: with the calls
    that are reserved for emergencies."""
    bearers = {(spec.account, spec.bearer): spec for spec in runtime.specs.values()}
    try:
        known = locate_key(runtime, access_keys, urgent=urgent)
    except ServiceError as error:
        return _by_ledgers(runtime, access_keys, error)
    if any(name not in known or (known[name][0], known[name][1].bearer) not in bearers for name in access_keys):
        removed = runtime.removed_applications().values()
        bearers = {(spec.account, spec.bearer): spec for spec in removed} | bearers  # a configured one owns its bearer
    found = []
    for name in access_keys:
        account, key = known.get(name, ("", None))
        found.append(KeyLookup(name, account, key, bearers.get((account, key.bearer)) if key else None))
    return _with_ledgers(runtime, found, bearers)


def _by_ledgers(runtime: Runtime, access_keys: Sequence[str], error: ServiceError) -> tuple[KeyLookup, ...]:
    """Looks up the keys in the ledgers alone; raises ``error`` if a key is in none."""
    found = find_in_ledgers(runtime, access_keys)
    lookups = []
    for name in access_keys:
        spec, ledger = found.get(name, (None, None))
        if spec is None or ledger is None or not (name in ledger.names() or is_verified_revoked(ledger, name)):
            raise error
        version = ledger.current.version if ledger.current and ledger.current.access_key == name else 0
        lookups.append(KeyLookup(name, spec.account, None, spec, ledger, version, str(error)))
    return tuple(lookups)


def find_in_ledgers(runtime: Runtime, access_keys: Sequence[str]) -> dict[str, tuple[ApplicationSpec, Ledger]]:
    """The application whose ledger names each of these keys, without a call to a provider. Ledgers
    of removed applications are read only for keys that no configured application names. A ledger
    that cannot be read names nothing."""
    found: dict[str, tuple[ApplicationSpec, Ledger]] = {}
    for removed in (False, True):
        if missing := [name for name in access_keys if name not in found]:
            specs = list((runtime.removed_applications() if removed else runtime.specs).values())
            ledgers = _ledgers(runtime, specs)
            for spec in specs:
                if ledger := ledgers.get(spec.application):
                    found |= {name: (spec, ledger) for name in missing if _names(ledger, name)}
    return found


def locate_key(runtime: Runtime, access_keys: Sequence[str], *, urgent: bool = True) -> dict[str, tuple[str, Key]]:
    """The account and the key, for each of these keys that is valid. Asks each account once. Raises
    as ``look_up_keys`` does."""
    accounts: dict[str, Provider] = {}
    for spec in runtime.specs.values():
        if spec.account not in accounts:
            provider = runtime.provider(spec.account)
            accounts[spec.account] = provider.urgent() if urgent else provider
    known: dict[str, tuple[str, Key]] = {}
    failures: list[Exception] = []
    for _, answer in as_completed(
        lambda name: (name, _ask(accounts[name], access_keys)), accounts, lane=lambda name: name
    ):
        if isinstance(answer, Exception):
            failures.append(answer)
            continue
        account, keys = answer
        known |= {name: (account, key) for name, key in keys.items()}
        if known.keys() >= set(access_keys):
            return known  # each key belongs to one account, so the others need not answer
    for failure in failures:
        raise failure
    return known


def _ask(provider: Provider, access_keys: Sequence[str]) -> Mapping[str, Key]:
    if len(access_keys) > MAX_BY_NAME:
        with suppress(TooManyKeys):  # then each key is requested by name
            return {key.access_key: key for key in provider.list_all_keys() if key.access_key in access_keys}
    return {key.access_key: key for name in access_keys if (key := _one(provider, name)) is not None}


def _one(provider: Provider, access_key: str) -> Key | None:
    try:
        return provider.get_key(access_key)
    except Rejected as refusal:
        if refusal.argument != "access_key":
            raise
        return None  # not the name of a key


def _with_ledgers(
    runtime: Runtime, found: Sequence[KeyLookup], bearers: Mapping[tuple[str, str], ApplicationSpec]
) -> tuple[KeyLookup, ...]:
    """The same lookups with the ledger of each application. For keys that no account has any more,
    all ledgers are read."""
    wanted = {one.spec.application: one.spec for one in found if one.spec}
    if any(one.key is None for one in found):
        wanted = {spec.application: spec for spec in bearers.values()}
    ledgers = _ledgers(runtime, wanted.values())
    unread = tuple(sorted(wanted.keys() - ledgers.keys()))
    lookups = []
    for one in found:
        owner = one.spec or next(
            (spec for name, spec in wanted.items() if _names(ledgers.get(name), one.access_key)), None
        )
        ledger = ledgers.get(owner.application) if owner else None
        version = _published_in(runtime, owner, ledger, one) if owner else 0
        lookups.append(
            KeyLookup(one.access_key, one.account, one.key, owner, ledger, version, unread=() if owner else unread)
        )
    return tuple(lookups)


def _published_in(runtime: Runtime, spec: ApplicationSpec, ledger: Ledger | None, one: KeyLookup) -> int:
    """The version that publishes the key: by the ledger, or for a valid key that no ledger names,
    by the document."""
    if ledger is not None and one.access_key in ledger.names():
        return ledger.current.version if ledger.current and ledger.current.access_key == one.access_key else 0
    if one.key is None:
        return 0
    try:
        document = runtime.vault.read_document(*spec.location)
    except Unavailable:
        raise
    except (LedgerUnreadable, ServiceError):
        return 0
    return document.version if document.published == one.access_key else 0


def _ledgers(runtime: Runtime, specs: Iterable[ApplicationSpec]) -> dict[str, Ledger | None]:
    """The ledgers by application, without those that cannot be read."""
    specs = list(specs)
    found: dict[str, Ledger | None] = {}
    answers = run_concurrently(lambda spec: read_whole_ledger(spec, runtime.context(spec)), specs)
    for spec, answer in zip(specs, answers, strict=True):
        if isinstance(answer, Unavailable) or not isinstance(answer, Ledger | LedgerUnreadable | ServiceError | None):
            raise answer
        if not isinstance(answer, Exception):
            found[spec.application] = answer
    return found


def _names(ledger: Ledger | None, access_key: str) -> bool:
    if ledger is None:
        return False
    return access_key in ledger.names() or any(entry.access_key == access_key for entry in ledger.history)


def application_of(runtime: Runtime, access_key: str) -> tuple[ApplicationSpec, KeyLookup]:
    """The application of that key, for a command that acts on it. Raises ``Refused`` if there is
    none, or if the key is revoked already."""
    (found,) = look_up_keys(runtime, [access_key])
    if found.key is not None and found.key.manages_account:
        raise Refused(management_key_message(access_key, found.account))
    if found.spec is None and found.key is None:
        ledgers = (
            f"ledger that could be read names it (not read: {', '.join(found.unread)})"
            if found.unread
            else "ledger names it"
        )
        raise Refused(
            f"no account of this configuration has a key {access_key}, and no {ledgers}: nothing was done; if it is of"
            " another organisation, revoke it there"
        )
    if found.spec is None:
        raise Refused(
            f"{access_key} belongs to the bearer {found.key.bearer if found.key else ''} of account {found.account}, "
            "which is no application of this configuration: nothing was done; revoke it at the provider"
        )
    if found.key is None and access_key not in (found.ledger.names() if found.ledger else frozenset()):
        raise Refused(
            f"{access_key} of {found.spec.application} is revoked already, as its ledger says: nothing was done"
        )
    return found.spec, found
