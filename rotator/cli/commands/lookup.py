"""``rotator lookup``: from a key in hand to its owner."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import click

from rotator.cli.output.pager import paged
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.domain.access_key import ACCESS_KEY, is_access_key
from rotator.domain.keys import ProbeResult
from rotator.domain.secret import SECRET_KEY, Secret
from rotator.operations.queries.key_info import KeyInfo
from rotator.operations.queries.key_lookup import refuse_malformed_keys
from rotator.operations.queries.secret_lookup import SecretMatch, held_in_vault, probe_accounts
from rotator.util.formatting import pluralize

LONGEST_PIECE = 64 * 1024
OVERLAP = 64
"""Characters of a line that are read at once, and that are looked at again with the next ones."""

NAME = re.compile(rf"(?<![A-Z0-9]){ACCESS_KEY.pattern}(?![A-Z0-9])")

AS_ARGUMENT = (
    "this looks like a secret key, and arguments are seen by every user of the machine and kept by the shell: it may "
    "have leaked now; give it on standard input instead: rotator lookup --secret"
)


@click.command(
    "lookup",
    epilog="""\b
Examples:
  rotator lookup SCWAAAAAAAAAAAAAAAAA
  rotator lookup --secret < secret-key
  rotator lookup --scan leaked.log
  git log -p | rotator lookup --scan -""",
)
@click.argument("access_keys", nargs=-1, metavar="[SCW]...")
@click.option("--secret", is_flag=True, help="A secret key on standard input: compared with what Vault holds.")
@click.option("--scan", metavar="FILE", help="A text that may hold keys, - for standard input: found by their format.")
@asking
@common
@pass_session
@paged
def command(session: Session, access_keys: Sequence[str], secret: bool, scan: str | None) -> int:
    """Say of which application and account a key is, how it stands, where it is published, and what
    if it were revoked.

    Each account is asked once. A secret is never printed and never kept; of a scanned text only the
    names of keys and their lines are shown.
    """
    refuse_secrets(access_keys)
    refuse_malformed_keys(access_keys)
    if wrong := [number for number, word in enumerate(access_keys, 1) if not is_access_key(word)]:
        raise click.UsageError(
            f"argument {wrong[0]} is not the name of a key: it begins with SCW and has 20 characters"
        )
    if sum((bool(access_keys), secret, scan is not None)) != 1:
        raise click.UsageError("give the names of keys, or --secret, or --scan FILE")
    if secret:
        return _of_secret(session)
    if scan is not None:
        return _of_text(session, scan)
    keys_info: Sequence[KeyInfo] = session.ask("lookup", access_keys=list(access_keys))
    _show(session, keys_info, {})
    return _worst(keys_info)


def refuse_secrets(words: Iterable[str]) -> None:
    """No argument may be a secret, and none that is gets repeated."""
    if any(SECRET_KEY.search(word) for word in words):
        raise click.UsageError(AS_ARGUMENT)


def _worst(keys_info: Iterable[KeyInfo]) -> int:
    return 1 if any(key_info.state == "unknown" for key_info in keys_info) else 0


def _show(session: Session, keys_info: Sequence[KeyInfo], remarks: dict[str, str], **more: Any) -> None:
    if session.json:
        click.echo(json.dumps({"keys": [key_info.as_json() for key_info in keys_info], **more}, indent=2))
        return
    for key_info in keys_info:
        remark = remarks.get(key_info.access_key, "")
        say(f"{key_info.sentence}{f' ({remark})' if remark else ''}")
        say(f"  if it were revoked: {key_info.impact}")


# --- a secret key ---------------------------------------------------------------------------------


def _of_secret(session: Session) -> int:
    given = (
        click.prompt("secret key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read(4096)
    ).strip()
    if not SECRET_KEY.fullmatch(given):
        raise click.UsageError(
            "standard input holds no secret key: it looks like a UUID, and nothing else may stand beside it"
        )
    wanted = Secret(given)
    with session.app() as app:
        (match,), unread = held_in_vault(app, [wanted])
        found = ProbeResult.INCONCLUSIVE if match else probe_accounts(app, wanted)
    _unread(unread)
    if match:
        keys_info: Sequence[KeyInfo] = session.ask("lookup", access_keys=[match.access_key])
        _show(session, keys_info, {match.access_key: _where(match)}, match=_as_json(match), valid=None)
        return _worst(keys_info)
    said = {
        ProbeResult.VALID: "it is VALID: revoke it at the provider, and find out where it was made",
        ProbeResult.REJECTED: "it is revoked: no account accepts it",
        ProbeResult.INCONCLUSIVE: "it is unknown whether it is valid: no clear answer; try again",
    }[found]
    if session.json:
        click.echo(
            json.dumps(
                {"keys": [], "match": None, "valid": {ProbeResult.VALID: True, ProbeResult.REJECTED: False}.get(found)},
                indent=2,
            )
        )
    else:
        say(f"Vault holds no such secret in what was read, so its application is unknown; {said}")
    return {ProbeResult.INCONCLUSIVE: 3, ProbeResult.VALID: 1}.get(found, 0)


def _where(match: SecretMatch) -> str:
    return f"its secret is in version {match.version} of {match.path}"


def _as_json(match: SecretMatch) -> dict[str, object]:
    return {
        "access_key": match.access_key,
        "application": match.application,
        "path": match.path,
        "version": match.version,
    }


def _unread(applications: Sequence[str]) -> None:
    if applications:
        say(f"rotator: not compared with {', '.join(applications)}: their documents cannot be read", err=True)


# --- a text ---------------------------------------------------------------------------------------


@dataclass
class KeyScan:
    """What stands in a text: names of keys, and what may be secret keys, each with the lines that
    it stands in."""

    names: dict[str, list[int]]
    secrets: dict[str, list[int]]


def scanned(text: TextIO) -> KeyScan:
    """Everything in the text that looks like a key. A line of any length is read in pieces that
    overlap by more than a key."""
    found = KeyScan({}, {})
    number, rest = 1, ""
    for piece in chain(iter(lambda: text.readline(LONGEST_PIECE), ""), ["\n"]):
        whole = rest + piece
        for pattern, places in ((NAME, found.names), (SECRET_KEY, found.secrets)):
            for match in pattern.finditer(whole):
                if (match.start() or not rest) and match.end() < len(
                    whole
                ):  # else its surroundings are in another piece
                    places.setdefault(match[0] if pattern is NAME else match[0].lower(), []).append(number)
        ended = whole.endswith("\n")
        rest = "" if ended else whole[-OVERLAP:]
        number += ended
    return found


def _of_text(session: Session, file: str) -> int:
    with _opened(file) as text:
        found = scanned(text)
    uuids = list(found.secrets)
    matches: dict[str, list[int]] = {}
    remarks: dict[str, str] = {}
    if uuids:
        with session.app() as app:
            compared, unread = held_in_vault(app, [Secret(uuid) for uuid in uuids])
        _unread(unread)
        for uuid, match in zip(uuids, compared, strict=True):
            if match:
                matches[match.access_key] = found.secrets[uuid]
    names = [*found.names, *(name for name in matches if name not in found.names)]
    keys_info: Sequence[KeyInfo] = session.ask("lookup", access_keys=names) if names else ()
    for name in names:
        said = [f"named in line {_lines(found.names[name])}"] if name in found.names else []
        said += [f"its SECRET stands in line {_lines(matches[name])}"] if name in matches else []
        remarks[name] = ", ".join(said)
    others = len(uuids) - len(matches)
    lines = {name: {"named": found.names.get(name, []), "secret": matches.get(name, [])} for name in names}
    _show(session, keys_info, remarks, lines=lines, other_uuids=others)
    if not session.json:
        if not names:
            say("the text names no key of a configured application")
        if others:
            say(f"{pluralize(others, 'other UUID')} in it: no secret that Vault holds in what was read")
    return _worst(keys_info)


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, dict.fromkeys(numbers[:5])))
    return f"{shown} and more" if len(numbers) > 5 else shown


def _opened(file: str) -> AbstractContextManager[TextIO]:
    if file == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(file).open(errors="replace")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from None
