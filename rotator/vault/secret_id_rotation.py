"""Rotates the secret id of the daemon's AppRole login: make a new one, prove it by a login, use it,
destroy the former one after its grace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from rotator.domain.secret import Secret
from rotator.errors import Refused, RotatorError
from rotator.util.instants import LATEST, clamp
from rotator.vault.responses import Reply, failure
from rotator.vault.secret_ids import (
    MAX_FORMER,
    SecretIdFile,
    SecretIds,
    Step,
    accepted,
    expedited,
    generated,
    next_step,
    without,
)
from rotator.vault.settings import OwnSecretIdSettings, Supplier

RETRY_DELAY = timedelta(minutes=5)
"""Until a rotation that failed goes on. Five refused logins within 15 minutes lock the role for all
who use it."""

MAX_STEPS = 64
"""More steps than that in one go are an error of the program."""


OnStep = Callable[[str], None]
"""Called with each step that is done: ``generated`` (the file holds a new secret id),
``registered`` (Vault knows it), ``verified`` (it has logged in), ``in_use`` (the file names it for
the login), ``destroyed`` (a former one)."""


def _ignore_step(step: str) -> None:
    """For callers that do not follow the steps."""


class AppRoleApi(Protocol):
    """What the rotation needs of Vault."""

    def register_secret_id(self, role: str, secret: Secret) -> Reply:
        """Make this text a secret id of the role."""

    def destroy_secret_id(self, role: str, secret: Secret) -> Reply:
        """Destroy it."""

    def secret_id_end(self, role: str, secret: Secret) -> datetime | None:
        """When Vault ends it by itself; None for never, and where Vault does not say."""

    def try_secret_id(self, secret: Secret) -> Reply:
        """Log in with it, and give the token back."""


class KeptSecretId:
    """Supplies the secret id to log in with: the current one of the file, or else the configured
    one."""

    def __init__(self, file: SecretIdFile, initial: Supplier | None) -> None:
        self._file = file
        self._initial = initial

    @property
    def source(self) -> str:
        """Where the secret id is kept, for messages."""
        return f"file:{self._file.path}"

    def __call__(self) -> Secret:
        """The secret id. Raises ``Refused`` when the file cannot be read, and when there is
        none."""
        held = self._file.read()
        if held.current is not None:
            return held.current
        if self._initial is None:
            raise Refused(f"{self.source} holds no secret id yet, and secret_id is not set: set it for the first login")
        return self._initial()


class SecretIdRotation:
    """Rotates the secret id of one login. Several processes of one machine share the file; each
    machine has its own, so that none of them destroys what another logs in with."""

    def __init__(
        self, settings: OwnSecretIdSettings, initial: Supplier | None, api: AppRoleApi, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._file = SecretIdFile(settings.file)
        self._initial = initial
        self._api = api
        self._now = now
        self._running = threading.Lock()
        self._not_before = now()
        self._ends: tuple[Secret, datetime | None] | None = None
        self.problem = ""
        """Why the last attempt failed, as a sentence; empty when it did not."""

    def maintain(self) -> None:
        """Take the steps that are due. Never raises: what fails is reported and tried again after
        ``RETRY_DELAY``."""
        if self._now() < self._not_before or not self._running.acquire(blocking=False):
            return
        try:
            self._run()
            self.problem = ""
        except RotatorError as error:
            self._not_before = self._now() + RETRY_DELAY
            self.problem = str(error)
            self._settings.sink.emit("login.secret_id_failed", role=self._settings.role, message=self.problem)
        finally:
            self._running.release()

    def rotate(
        self, *, compromised: bool = False, spare_configured: bool = False, on_step: OnStep = _ignore_step
    ) -> int:
        """Replace the secret id now; how many former ones were destroyed. ``compromised``: they are
        destroyed at once, also the configured one unless ``spare_configured``. Raises
        ``RotatorError``."""
        with self._running:
            return self._run(on_step, wanted=True, compromised=compromised, spare_configured=spare_configured)

    def _run(
        self,
        on_step: OnStep = _ignore_step,
        *,
        wanted: bool = False,
        compromised: bool = False,
        spare_configured: bool = False,
    ) -> int:
        destroyed = 0
        with self._file.locked() as alone:
            if not alone:
                if wanted:
                    raise Refused(
                        f"another process is rotating the secret id in {self._settings.file}: try again in a minute"
                    )
                return 0
            for _ in range(MAX_STEPS):
                held = self._file.read()
                step = next_step(held, self._now(), self._settings.policy, ends_at=self._end_of(held), wanted=wanted)
                match step:
                    case Step.WAIT if compromised:
                        self._file.write(expedited(held, self._now()))
                        if not wanted:  # else there was no place for a new one: that comes after the destruction
                            destroyed += 0 if spare_configured else self._destroy_initial(on_step)
                            compromised = False
                    case Step.WAIT if wanted:
                        raise Refused(
                            f"{MAX_FORMER} former secret ids wait for their destruction, so no new one is made: wait "
                            "for the end of their grace, or destroy them now with rotator rotate-login --compromised"
                        )
                    case Step.WAIT:
                        return destroyed
                    case Step.GENERATE:
                        self._file.write(generated(held))
                        on_step("generated")
                    case Step.REGISTER if held.pending is not None:
                        self._register(held, held.pending, on_step)
                        wanted = False
                    case Step.DESTROY:
                        destroyed += self._destroy_due(held, on_step)
        raise AssertionError("the rotation of the secret id does not come to an end")

    def _end_of(self, held: SecretIds) -> datetime | None:
        if held.current is None or held.pending is not None:
            return None
        if self._ends is None or self._ends[0] != held.current:
            self._ends = (held.current, self._api.secret_id_end(self._settings.role, held.current))
        return self._ends[1]

    def _register(self, held: SecretIds, pending: Secret, on_step: OnStep) -> None:
        """Make the pending secret id known to Vault, prove it, and use it from now on. What was
        done before a crash is done again."""
        role = self._settings.role
        reply = self._api.register_secret_id(role, pending)
        if not reply.ok and not reply.says("already registered"):
            raise failure(reply, path=f"{self._settings.role_path}/custom-secret-id", capability="update", writing=True)
        on_step("registered")
        login = self._api.try_secret_id(pending)
        if not login.ok:
            raise failure(login, path=f"auth/{self._settings.mount}/login", capability="update", writing=True)
        on_step("verified")
        self._file.write(accepted(held, self._now(), self._settings.policy))
        on_step("in_use")
        self._settings.sink.emit("login.secret_id_rotated", role=role)

    def _destroy_due(self, held: SecretIds, on_step: OnStep) -> int:
        now, count = self._now(), 0
        for former in held.former:
            if former.destroy_at <= now:
                self._destroy(former.secret, on_step)
                held = without(held, former.secret)
                self._file.write(held)
                count += 1
        return count

    def _destroy_initial(self, on_step: OnStep) -> int:
        if self._initial is None:
            return 0
        self._destroy(self._initial(), on_step)
        return 1

    def _destroy(self, secret: Secret, on_step: OnStep) -> None:
        role = self._settings.role
        reply = self._api.destroy_secret_id(role, secret)
        if not reply.ok and reply.status != 404:
            raise failure(
                reply, path=f"{self._settings.role_path}/secret-id/destroy", capability="update", writing=True
            )
        self._settings.sink.emit("login.secret_id_destroyed", role=role)
        on_step("destroyed")


def end_of(reply: Reply) -> datetime | None:
    """The end of a secret id from the answer to its lookup; None where the answer does not tell
    one."""
    expires = reply.data.get("expiration_time") if reply.ok else None
    if not isinstance(expires, str) or expires.startswith("0001-"):
        return None
    try:
        found = clamp(datetime.fromisoformat(expires))
    except (ValueError, TypeError):
        return None
    return found if found < LATEST else None
