"""The facts that ``rotator doctor`` examines: services as seen from this machine, Vault, accounts,
and the machine.

An empty ``fault`` means none. What could not be read is None or empty, and its check is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Endpoint:
    """The address of a service from this machine. ``stage``: where the connection fails: ``dns``,
    ``connect``, ``proxy`` or ``tls``."""

    address: str
    stage: str = ""
    fault: str = ""
    certificate_ends: datetime | None = None


@dataclass(frozen=True)
class TokenFacts:
    """The token of the login. ``uses``: calls left, 0 without a limit. ``life``: how long it can be
    renewed in all. ``networks``: the only ones that may use it."""

    uses: int = 0
    life: timedelta | None = None
    renewable: bool = True
    root: bool = False
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class SecretIdFacts:
    """The secret id of an AppRole login. ``uses``: logins that are left; 0 is without a limit."""

    ends: datetime | None = None
    uses: int = 0
    rotates_itself: bool = False


@dataclass(frozen=True)
class DocumentFacts:
    """One credential document. ``missing_rights``: lines that the policy lacks; ``ledger_fault``:
    why its ledger cannot be read."""

    application: str
    path: str
    fault: str = ""
    ledger_fault: str = ""
    missing_rights: tuple[str, ...] = ()
    versions: int | None = None
    deleted_after: timedelta | None = None
    check_and_set: bool = False
    """Whether Vault refuses each write without check-and-set."""


@dataclass(frozen=True)
class VaultFacts:
    """Vault: its state, the login, and each document."""

    endpoint: Endpoint
    state_fault: str = ""
    version: str = ""
    standby: bool = False
    login_fault: str = ""
    login_remedy: str = ""
    token: TokenFacts | None = None
    secret_id: SecretIdFacts | None = None
    client_certificate_ends: datetime | None = None
    clock_offset: timedelta | None = None
    documents: tuple[DocumentFacts, ...] = ()


@dataclass(frozen=True)
class ExaminedAccount:
    """An account at its provider. ``missing``: applications whose bearer does not exist;
    ``unmanaged``: the unmanaged keys by application."""

    name: str
    endpoint: Endpoint
    login_fault: str = ""
    right_fault: str = ""
    fault: str = ""
    clock_offset: timedelta | None = None
    headroom: int | None = None
    missing: tuple[str, ...] = ()
    unmanaged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key: str = ""
    key_created: datetime | None = None
    key_expires: datetime | None = None
    rotates_itself: bool = False


@dataclass(frozen=True)
class UnitFacts:
    """The systemd unit; ``properties`` as ``systemctl show`` prints them."""

    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MachineFacts:
    """This machine: the unit, the directory of the sockets, notifications and heartbeat."""

    unit: UnitFacts | None = None
    sockets: str = ""
    socket_fault: str = ""
    missing_groups: tuple[str, ...] = ()
    heartbeat: bool = False
    heartbeat_fault: str = ""
    notifications: int = 0
    notification_fault: str = ""


@dataclass(frozen=True)
class Facts:
    """All facts, and when they were read."""

    at: datetime
    vault: VaultFacts
    accounts: tuple[ExaminedAccount, ...] = ()
    machine: MachineFacts = MachineFacts()
    max_clock_skew: timedelta = timedelta(seconds=30)
