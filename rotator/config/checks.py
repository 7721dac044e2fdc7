"""Checks options in context: addresses without TLS, files that other users can write, and
references."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from rotator.config.problems import Problems, dotted
from rotator.errors import ConfigurationError
from rotator.system.file_diagnosis import absence
from rotator.system.file_permissions import file_problem
from rotator.util.addresses import is_loopback

if TYPE_CHECKING:
    from rotator.config.secret_reference import Reference


def check_address(options: dict[str, Any], name: str, where: tuple[str, ...], problems: Problems) -> None:
    """Requires ``allow_http`` for a remote address without TLS."""
    parts = urlsplit(options.get(name, ""))
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not options.get("allow_http"):
        problems.add(
            dotted(*where, name),
            "is without TLS, so secrets would cross the network unencrypted; write https://, or set allow_http",
        )
    check_proxy(parts, options, where, problems)


def check_proxy(parts: SplitResult, options: dict[str, Any], where: tuple[str, ...], problems: Problems) -> None:
    """Rejects a remote proxy for an address without TLS: the proxy can read the request, even if
    the address is local."""
    proxy = urlsplit(options.get("proxy") or "").hostname or ""
    if parts.scheme != "http" or not proxy or is_loopback(proxy):
        return
    if is_loopback(parts.hostname or ""):
        problems.add(
            dotted(*where, "proxy"), "is another machine, and the address without TLS is of this one; leave out proxy"
        )
    elif not options.get("allow_http"):
        problems.add(
            dotted(*where, "proxy"),
            "is another machine, and can read what goes to an address without TLS; write https://",
        )


def check_file(file: Path | None, path: str, folder: Path, problems: Problems) -> Path | None:
    """The file, relative to the directory of the configuration. Adds a problem unless it exists and
    only trusted users can write it."""
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


def check_reference(reference: Reference, path: str, problems: Problems, *, pem: str = "") -> None:
    """Checks that a reference can be read. ``pem``: ``"certificate"`` for a world-readable file,
    ``"key"`` for a file of several lines."""
    if not problems.files:
        return
    if pem == "certificate" and reference.kind == "file":
        check_file(reference.file(), path, Path(), problems)
        return
    try:
        reference.check(lines=pem in ("certificate", "key"))
    except ConfigurationError as error:
        for problem in error.problems:
            problems.add(path, f"{problem.file} {problem.message}", private=problem.private)


def check_destination(reference: Reference, path: str, problems: Problems) -> None:
    """Checks a reference to where failures are reported, which must not depend on Vault."""
    if reference.kind == "vault":
        problems.add(path, "is in Vault, which may be the service that fails; use file: or credential:")
    else:
        check_reference(reference, path, problems)


def check_url(reference: Reference, options: dict[str, Any], problems: Problems) -> None:
    """Checks an address that is a secret, without repeating it."""
    if not problems.files:
        return
    try:
        parts = urlsplit(reference.resolve().reveal())
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ConfigurationError:
        return  # reported already
    except ValueError:
        sound = None
    if not sound:
        problems.add(
            "heartbeat.url", f"{reference} holds no web address; put one such as https://ping.example.com/TOKEN into it"
        )
        return
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not options.get("allow_http"):
        problems.add(
            "heartbeat.url",
            f"{reference} holds an address without TLS, so it would cross the network unencrypted; use https://, or "
            "set allow_http",
        )
    check_proxy(parts, options, ("heartbeat",), problems)
