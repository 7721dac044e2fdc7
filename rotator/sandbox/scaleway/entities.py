"""The things that the stand-in keeps: organisations, bearers, keys; and what it reports of them and
of what happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One thing that truly happened, as opposed to the answer that a client got.

    ``kind`` is ``created``, ``updated`` or ``deleted`` for keys, the same with ``application_`` for
    applications, ``security_updated``; ``quota_exceeded`` for a create that found no room;
    ``authenticated`` or ``refused`` for every request that got as far; ``limited``, ``faulted`` and
    ``unknown_operation`` for those that did not. ``access_key`` is the key concerned: the one
    changed, or the one whose secret was tried (empty when no such secret was ever issued). ``by``
    is the access key that made a change, empty for a hand of the operator. ``detail`` is the reason
    of a refusal or the description of a fault.
    """

    index: int
    at: datetime
    kind: str
    access_key: str
    bearer: str
    by: str
    method: str
    route: str
    detail: str


class Actor(NamedTuple):
    """Who makes a change: the bearer of a key over the API, or an operator's hand, which leaves
    everything empty."""

    access_key: str = ""
    bearer: str = ""
    agent: str = ""
    ip: str = "127.0.0.1"


HAND = Actor()


class Change(NamedTuple):
    """What the service's own log records of a change to IAM."""

    at: datetime
    organization: Organization
    action: str
    resource_type: str
    resource_id: str
    actor: Actor


@dataclass
class Organization:
    """An organisation: a quota, a policy and everything that belongs to it."""

    id: str
    quota: int = 100
    security: dict[str, Any] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    bearers: dict[str, IamBearer] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)


@dataclass
class IamBearer:
    """Who bears keys: an application, or a user. A manager may do everything in its organisation,
    others nothing."""

    id: str
    kind: str
    name: str
    organization: Organization
    manager: bool
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: list[str] = field(default_factory=list)
    keys: dict[str, ApiKey] = field(default_factory=dict)


@dataclass(eq=False)
class ApiKey:
    """A key, valid or deleted. ``born`` and ``died`` are times of the clock, the others calendar
    times."""

    access_key: str
    secret: str = field(repr=False)
    bearer: IamBearer = field(repr=False)
    description: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    default_project_id: str
    creation_ip: str
    born: float
    activation_delay: float
    editable: bool = True
    deletable: bool = True
    managed: bool = False
    died: float | None = None
    deleted_at: datetime | None = None
    revocation_delay: float = 0.0


@dataclass(frozen=True)
class KeyView:
    """A key as ground truth has it, without its secret. ``deleted_at`` is None while it lives;
    ``revocation_delay`` is how many seconds later the last gateway refuses it."""

    access_key: str
    bearer: str
    description: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    deleted_at: datetime | None
    default_project_id: str
    editable: bool
    deletable: bool
    managed: bool
    revocation_delay: float


def view(key: ApiKey) -> KeyView:
    """The ground truth of one key."""
    return KeyView(
        access_key=key.access_key,
        bearer=key.bearer.id,
        description=key.description,
        created_at=key.created_at,
        updated_at=key.updated_at,
        expires_at=key.expires_at,
        deleted_at=key.deleted_at,
        default_project_id=key.default_project_id,
        editable=key.editable,
        deletable=key.deletable,
        managed=key.managed,
        revocation_delay=key.revocation_delay,
    )
