"""The secret ids of the daemon's AppRole login, as a file keeps them, and which step of their
rotation is next. No call is made here.

A secret id is generated here and written into the file before Vault learns of it. So a process that
is killed at any point leaves a file that names every secret id that it may have made, and the next
one goes on from there.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from rotator.domain.secret import Secret
from rotator.errors import Refused
from rotator.system.file_permissions import UntrustedFile, read_file
from rotator.util.instants import clamp

FOLDER_NEEDED = "the user of the service needs a folder of its own, as own-secret-id.conf makes it"

SCHEMA = 1
LARGEST = 64 * 1024
MAX_FORMER = 16
"""Secret ids that wait for their destruction; no new one is made beyond so many."""

LIFETIME_SHARE = 2 / 3
"""A secret id that Vault ends by itself is replaced when this share of its life is over."""


@dataclass(frozen=True)
class FormerSecretId:
    """A secret id that was replaced and is destroyed at that time (UTC)."""

    secret: Secret
    destroy_at: datetime


@dataclass(frozen=True)
class SecretIds:
    """What the file holds. ``current`` logs in since ``since``; ``pending`` may be known to Vault
    or not, and has not logged in yet."""

    current: Secret | None = None
    since: datetime | None = None
    pending: Secret | None = None
    former: tuple[FormerSecretId, ...] = ()


class Step(enum.StrEnum):
    """What is next."""

    GENERATE = "generate"
    REGISTER = "register"
    DESTROY = "destroy"
    WAIT = "wait"


@dataclass(frozen=True)
class SecretIdPolicy:
    """How often a secret id is replaced, and for how long its predecessor stays valid."""

    every: timedelta
    grace: timedelta


def due_at(held: SecretIds, policy: SecretIdPolicy, ends_at: datetime | None = None) -> datetime | None:
    """When the current secret id is replaced; None for at once. ``ends_at`` is when Vault ends it
    by itself."""
    if held.current is None or held.since is None:
        return None
    due = held.since + policy.every
    return due if ends_at is None else min(due, held.since + (ends_at - held.since) * LIFETIME_SHARE)


def next_step(
    held: SecretIds, now: datetime, policy: SecretIdPolicy, *, ends_at: datetime | None = None, wanted: bool = False
) -> Step:
    """The next step. ``wanted``: a person asked for a new secret id now."""
    if held.pending is not None:
        return Step.REGISTER
    if any(former.destroy_at <= now for former in held.former):
        return Step.DESTROY
    due = due_at(held, policy, ends_at)
    if (wanted or due is None or due <= now) and len(held.former) < MAX_FORMER:
        return Step.GENERATE
    return Step.WAIT


def generated(held: SecretIds) -> SecretIds:
    """With a new secret id, which Vault does not know yet."""
    return replace(held, pending=Secret(secrets.token_urlsafe(32)))


def accepted(held: SecretIds, now: datetime, policy: SecretIdPolicy) -> SecretIds:
    """With the pending secret id, which has logged in, as the current one."""
    former = (*held.former, FormerSecretId(held.current, now + policy.grace)) if held.current else held.former
    return SecretIds(current=held.pending, since=now, former=former)


def without(held: SecretIds, secret: Secret) -> SecretIds:
    """Without a former secret id that is destroyed."""
    return replace(held, former=tuple(former for former in held.former if former.secret != secret))


def expedited(held: SecretIds, now: datetime) -> SecretIds:
    """With every former secret id to be destroyed now."""
    return replace(held, former=tuple(replace(former, destroy_at=now) for former in held.former))


class SecretIdFile:
    """The file, readable only by the user of the service. Written whole and atomically, and changed
    by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> SecretIds:
        """What it holds; nothing when it does not exist. Raises ``Refused`` for a file that is
        damaged or may not be believed."""
        try:
            content = read_file(self.path, LARGEST, folder=self.path.parent)
        except FileNotFoundError:
            return SecretIds()
        except UntrustedFile as error:
            raise self._refusal(str(error.strerror)) from None
        except OSError as error:
            raise self._refusal(f"cannot be read: {error.strerror}") from None
        try:
            return _loaded(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self._refusal("is damaged: remove it, and the login uses the configured secret_id again") from None

    def write(self, held: SecretIds) -> None:
        """Replace what it holds. Raises ``Refused`` when it cannot be written; it then holds what
        it held before."""
        fresh = self.path.with_name(f".{self.path.name}.new")
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(self._create(fresh), "w") as file:
                json.dump(_dumped(held), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._refusal(f"cannot be written: {error.strerror}; {FOLDER_NEEDED}") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether this process alone may change the file meanwhile."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            with contextlib.suppress(FileExistsError):
                os.close(self._create(lock))
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise self._refusal(f"cannot be locked: {error.strerror}; {FOLDER_NEEDED}") from None
        try:
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _create(self, path: Path) -> int:
        """The descriptor of a new file, which belongs to the owner of the folder: root makes files
        that the service reads."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        folder = path.parent.stat()
        if os.geteuid() != folder.st_uid:
            try:
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            except OSError:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                raise
        return descriptor

    def _refusal(self, reason: str) -> Refused:
        return Refused(f"the file of the login's secret id, {self.path}, {reason}")


def _dumped(held: SecretIds) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "current": held.current.reveal() if held.current else None,
        "since": held.since.isoformat() if held.since else None,
        "pending": held.pending.reveal() if held.pending else None,
        "former": [
            {"secret": former.secret.reveal(), "destroy_at": former.destroy_at.isoformat()} for former in held.former
        ],
    }


def _loaded(data: Any) -> SecretIds:
    if data["schema"] != SCHEMA:
        raise ValueError
    return SecretIds(
        current=_secret(data["current"]),
        since=_instant(data["since"]) if data["since"] is not None else None,
        pending=_secret(data["pending"]),
        former=tuple(
            FormerSecretId(Secret(_text(one["secret"])), _instant(one["destroy_at"])) for one in data["former"]
        ),
    )


def _secret(value: object) -> Secret | None:
    return None if value is None else Secret(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _instant(value: object) -> datetime:
    return clamp(datetime.fromisoformat(_text(value)))
