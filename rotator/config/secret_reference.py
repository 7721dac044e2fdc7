"""A reference to a secret: its place, never its value."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rotator.domain.secret import Secret
from rotator.domain.secret_form import form_fault
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.system.file_diagnosis import absence
from rotator.system.file_permissions import file_problem

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST = 64 * 1024
_KINDS = ("file", "credential", "vault")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_IN_VAULT = re.compile(r"[^/\s#]+(?:/[^/\s#]+)+#[^\s#]+")

CREDENTIAL_FOLDERS = ("/run/credentials/rotator.service", "/etc/credstore")
"""Where credentials are looked up if ``$CREDENTIALS_DIRECTORY`` is not set, in a shell on the
machine of the service. The first exists while the service runs; the second is where systemd's
``LoadCredential=`` takes plain ones from."""

ENCRYPTED_FOLDER = Path("/etc/rotator/credentials")
"""Where the unit has encrypted credentials. Root can read them on the same machine, also while the
service is stopped."""

DECRYPT = ("/usr/bin/systemd-creds", "decrypt")
"""The command that decrypts one, without its arguments."""


@dataclass(frozen=True)
class Reference:
    """``file:PATH``, ``credential:NAME`` (in systemd's credentials directory) or
    ``vault:MOUNT/PATH#FIELD``."""

    kind: Literal["file", "credential", "vault"]
    target: str
    field: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parses the reference in ``text``. The ``ValueError`` for anything else does not repeat
        it: it may be a secret."""
        kind, colon, target = text.partition(":")
        if not colon or kind not in _KINDS:
            raise ValueError(
                "is written in the open; put the secret into a file that only the service can read, and write a "
                "reference: "
                '"file:PATH", "credential:NAME" or "vault:MOUNT/PATH#FIELD"'
            )
        if kind == "file" and target and "\0" not in target:
            return cls("file", target)
        if kind == "credential" and _NAME.fullmatch(target):
            return cls("credential", target)
        if kind == "vault" and _IN_VAULT.fullmatch(target):
            path, _, field = target.partition("#")
            return cls("vault", path, field)
        shape = {"file": "file:PATH", "credential": "credential:NAME", "vault": "vault:MOUNT/PATH#FIELD"}[kind]
        raise ValueError(f'is not a reference that can be followed; write "{shape}"')

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}" + (f"#{self.field}" if self.field else "")

    def within(self, folder: Path) -> Reference:
        """The same reference with a relative file taken from ``folder``."""
        return replace(self, target=str(folder / self.target)) if self.kind == "file" else self

    def file(self) -> Path:
        """The file of the secret, whether it exists or not. Only for ``file:`` and
        ``credential:``."""
        if self.kind == "file":
            return Path(self.target)
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        folders = (given,) if given else CREDENTIAL_FOLDERS
        candidates = [Path(folder) / self.target for folder in folders]
        return next((candidate for candidate in candidates if _is_provided(candidate)), candidates[0])

    def folder(self) -> Path | None:
        """The directory of credentials, whose owner is trusted too; None for a file anywhere."""
        return self.file().parent if self.kind == "credential" else None

    def check(self, *, lines: bool = False) -> None:
        """Checks that the secret can be read; raises ``ConfigurationError`` if not. ``lines``: it
        may have several lines, like a key in PEM.

        A secret in Vault is not checked: nothing is contacted.
        """
        if self.kind != "vault":
            content = self._content()
            if not lines:
                self._line(content)
            elif b"ENCRYPTED" in content:
                raise self._error(
                    "has a pass phrase, which a service cannot type in; store it without one: openssl pkey -in KEY "
                    "-out NEW"
                )

    def resolve(self, vault: Callable[[str, str], Secret] | None = None) -> Secret:
        """The secret, without the newline at the end of its file; read again on every call.

        ``vault`` reads a field of a document in Vault, given path and field. Raises
        ``ConfigurationError``.
        """
        if self.kind == "vault":
            if vault is None:
                raise self._error("cannot be read before Vault is; use file: or credential: here")
            secret = vault(self.target, self.field)
            if fault := form_fault(secret.reveal()):
                raise self._error(fault)
            return secret
        return Secret(self._line(self._content()))

    def _line(self, content: bytes) -> str:
        try:
            text = content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            # Raised below and not here: this error contains the bytes.
            text = "\ufffd"
        if fault := form_fault(text):
            raise self._error(fault)
        return text

    def _content(self) -> bytes:
        path = self.file()
        if encrypted := self._encrypted(path):
            return self._bounded(self._decrypted(encrypted))
        try:
            # Without O_NONBLOCK, opening a named pipe blocks until a writer opens it.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise self._error(self._reason(error, path), private=self._is_private(error)) from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self._error("is not a plain file; name the file that holds the secret")
            if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise self._error(f"can be read or written by every user of this machine; run: chmod o-rw {path}")
            folder = self.folder()
            if problem := file_problem(status, folder.stat() if folder else None):
                raise self._error(f"{problem}: {path}")
            content = os.read(descriptor, _LARGEST + 1)
        finally:
            os.close(descriptor)
        return self._bounded(content)

    def _encrypted(self, path: Path) -> Path | None:
        """The encrypted credential, if systemd has not decrypted it to a file at ``path``."""
        if self.kind != "credential" or os.environ.get("CREDENTIALS_DIRECTORY") or _is_provided(path):
            return None
        found = ENCRYPTED_FOLDER / self.target
        return found if os.access(found, os.R_OK) else None

    def _decrypted(self, path: Path) -> bytes:
        command = [*DECRYPT, f"--name={self.target}", str(path), "-"]
        try:
            # S603: a fixed command
            done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
        except OSError:
            done = None
        if done is None or done.returncode:
            raise self._error(
                f"cannot be decrypted; it belongs to another machine or another name, or is damaged: {path}"
            )
        return done.stdout

    def _bounded(self, content: bytes) -> bytes:
        if not content.strip():
            raise self._error(self._create() if self.kind == "credential" else "is empty; put the secret into it")
        if len(content) > _LARGEST:
            raise self._error("is far too large for a secret; name the file that holds only the secret")
        return content

    def _create(self) -> str:
        """The message for a credential of which the unit provides an empty line, because systemd
        found no file."""
        return (
            "has no secret; encrypt it with "
            f"systemd-creds encrypt --name={self.target} - {ENCRYPTED_FOLDER / self.target}, then restart the service"
        )

    def _reason(self, error: Exception, path: Path) -> str:
        if isinstance(error, FileNotFoundError) and self.kind == "credential":
            if os.environ.get("CREDENTIALS_DIRECTORY"):
                return (
                    "is not in $CREDENTIALS_DIRECTORY; add it to the unit with LoadCredential= or "
                    "LoadCredentialEncrypted="
                )
            return self._nowhere()
        if isinstance(error, FileNotFoundError):
            return "does not exist; create the file, readable only by the service, or correct the path"
        if isinstance(error, PermissionError):
            return f"may not be read by this user; run as the user of the service, or as root: {path}"
        return "cannot be read; name a plain file that holds the secret"

    def _nowhere(self) -> str:
        """The message for a credential that was not found, with the directories that this user
        cannot read."""
        folders = [Path(folder) for folder in (*CREDENTIAL_FOLDERS, ENCRYPTED_FOLDER)]
        closed = [folder for folder in folders if "may not look" in absence(folder / self.target)]
        searched = [str(folder) for folder in folders if folder not in closed]
        if not closed:
            return (
                f"is neither in {' nor '.join(searched)}, and $CREDENTIALS_DIRECTORY is not set; set it to the folder "
                "that holds it"
            )
        seen = f"it is not in {' and not in '.join(searched)}, and " if searched else ""
        return (
            f"was not found: {seen}this user may not look into {' and '.join(map(str, closed))}; run as root, or set"
            " $CREDENTIALS_DIRECTORY to the folder that holds it"
        )

    def _is_private(self, error: Exception) -> bool:
        """Whether another user may find the file: the service's credentials are in a directory of
        its own."""
        hidden = self.kind == "credential" and not os.environ.get("CREDENTIALS_DIRECTORY")
        return isinstance(error, PermissionError) or (isinstance(error, FileNotFoundError) and hidden)

    def _error(self, message: str, *, private: bool = False) -> ConfigurationError:
        return ConfigurationError([ConfigurationProblem(file=str(self), path="", message=message, private=private)])


def _is_provided(path: Path) -> bool:
    """Whether a file contains a credential. The unit provides an empty line for one whose encrypted
    file does not exist."""
    try:
        return path.stat().st_size > 1
    except OSError:
        return False


def parse_reference(value: object) -> Reference:
    """The reference in a value of the configuration. The ``ValueError`` does not repeat the
    value."""
    if isinstance(value, Reference):
        return value
    return Reference.parse(value if isinstance(value, str) else "")
