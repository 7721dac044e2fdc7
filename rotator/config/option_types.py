"""The types of options: how their values are written and converted.

No message repeats a value, because it may be a secret in the wrong place. Messages continue the
path of the option ("is not a duration; …").
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, WithJsonSchema

from rotator.config.secret_reference import Reference, parse_reference
from rotator.config.settings import Listener
from rotator.domain import document as model
from rotator.domain.due_time import next_cron, zone
from rotator.domain.marker import MAX_PURPOSE
from rotator.domain.secret import to_displayable
from rotator.util.durations import parse_duration

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEGMENT = re.compile(r"[^\s?#%*+\\\x00-\x1f\x7f]+")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_TOKEN = re.compile(r"[^\s\x00-\x1f\x7f]+")


def _duration(value: object, minimum: timedelta) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = 'is a bare number; write it in quotes with its unit, such as "90s", "15m" or "30d"'
        raise ValueError(message)  # noqa: TRY004 - pydantic reports ValueError, and lets TypeError through
    return parse_duration(value if isinstance(value, str) else "", minimum=minimum)


def vault_path(value: object) -> str:
    """The path of a document, such as ``secret/apps/billing``. Raises ``ValueError`` with the rest
    of a sentence."""
    segments = value.split("/") if isinstance(value, str) else []
    if len(segments) < 2 or any(segment in (".", "..") or not _SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError(
            'is not MOUNT/PATH; write the mount of a KV version 2 engine and a path, such as "secret/apps/billing"'
        )
    if segments[1] == "data":
        raise ValueError('has "data" after the mount, which only the HTTP API wants; leave it out: MOUNT/PATH')
    return "/".join(segments)


def _url(value: object) -> str:
    text = value if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = None
    if not sound or not _TOKEN.fullmatch(text):
        raise ValueError('is not a web address; write one such as "https://vault.example.com:8200"')
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("holds more than an address; leave out user, password, query and fragment")
    return text.rstrip("/")


def _token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError("is not an identifier; write it in quotes, without spaces")
    return value


def _purpose(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or to_displayable(value) != value:
        raise ValueError(
            "is not a line of text that may be shown; write what the key is for, in one line and without a secret"
        )
    if len(value.encode()) > MAX_PURPOSE:
        raise ValueError(
            f"is too long; write at most {MAX_PURPOSE} letters (one that is not ASCII counts as two to four)"
        )
    return " ".join(value.split())


def _file(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is not the path of a file; write it in quotes")
    return Path(value)


def _listener(value: object) -> Listener:
    if isinstance(value, Listener):
        return value
    text = value if isinstance(value, str) else ""
    if text.startswith("unix:/") and "\0" not in text:
        return Listener(path=Path(text.removeprefix("unix:")))
    host, _, port = text.rpartition(":")
    host = (
        "127.0.0.1"
        if host == "localhost"
        else host.removeprefix("[").removesuffix("]")
        if host.startswith("[")
        else host
    )
    try:
        address = ip_address(host)
        if (
            port.isascii()
            and port.isdecimal()
            and 0 < int(port) < 65536
            and (address.version == 4) == ("[" not in text)
        ):
            return Listener(host=str(address), port=int(port))
    except ValueError:
        pass
    raise ValueError(
        'is not where to listen; write an address and a port, "127.0.0.1:9464", or a socket, '
        '"unix:/run/rotator/metrics.sock"'
    )


def _cron(value: object) -> str:
    text = value if isinstance(value, str) else ""
    next_cron(text, datetime(2025, 1, 1, tzinfo=UTC), "UTC")
    return text


def _zone(value: object) -> str:
    text = value if isinstance(value, str) else ""
    zone(text)
    return text


def _days(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError('is not a list of days; write one such as ["mon", "tue"]')
    for day in value:
        if not isinstance(day, str) or day.lower() not in (*DAYS, *(name[:3] for name in DAYS)):
            raise ValueError('names a day that does not exist; write "mon", "tue", "wed", "thu", "fri", "sat" or "sun"')
    return value


def _hours(value: object) -> str:
    if not isinstance(value, str) or not _HOURS.fullmatch(value):
        raise ValueError('are not hours; write from and to, such as "22:00-06:00" (which ends on the next day)')
    return value


def _references(value: object) -> list[Reference]:
    if not isinstance(value, list):
        # TRY004: pydantic reports ValueError, and lets TypeError through
        raise ValueError('is not a list of references; write one such as ["credential:notify-chat"]')  # noqa: TRY004
    found = [parse_reference(item) for item in value]
    if len({str(reference) for reference in found}) < len(found):
        raise ValueError("names one reference twice; leave one out, or every message is sent twice")
    return found


def _fields(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(name and isinstance(template, str) for name, template in value.items()):
        raise ValueError(
            'is not a table of fields; write { SCW_ACCESS_KEY = "{access_key}", SCW_SECRET_KEY = "{secret_key}" }'
        )
    known = "{" + "}, {".join(model.DEFAULT_FIELDS) + "}"
    for template in value.values():
        if set("{}") & set(_PLACEHOLDER.sub("", template)) or set(_PLACEHOLDER.findall(template)) - set(
            model.DEFAULT_FIELDS
        ):
            raise ValueError(f"has a placeholder that does not exist; these do: {known}")
    for placeholder in ("{access_key}", "{secret_key}"):
        users = [template for template in value.values() if placeholder in template]
        # The ledger finds the published key by these two fields, and a secret in another field
        # could not be masked.
        if users != [placeholder]:
            raise ValueError(
                f'must have exactly one field that is "{placeholder}" and nothing else, and no other that holds it'
            )
    return value


_DURATION = WithJsonSchema({"type": "string", "pattern": "^(?=.)(\\d+d)?(\\d+h)?(\\d+m)?(\\d+s)?(\\d+ms)?$"})
_REFERENCE = {"type": "string", "pattern": "^(file|credential|vault):."}

Duration = Annotated[timedelta, BeforeValidator(lambda value: _duration(value, timedelta(seconds=1))), _DURATION]
Pause = Annotated[timedelta, BeforeValidator(lambda value: _duration(value, timedelta(0))), _DURATION]
Short = Annotated[timedelta, BeforeValidator(lambda value: _duration(value, timedelta(milliseconds=100))), _DURATION]
VaultPath = Annotated[str, BeforeValidator(vault_path)]
Url = Annotated[str, BeforeValidator(_url)]
Token = Annotated[str, BeforeValidator(_token)]
Purpose = Annotated[str, BeforeValidator(_purpose)]
File = Annotated[Path, BeforeValidator(_file)]
Cron = Annotated[str, BeforeValidator(_cron)]
Zone = Annotated[str, BeforeValidator(_zone)]
ListenAt = Annotated[Listener, BeforeValidator(_listener), WithJsonSchema({"type": "string"})]
SecretReference = Annotated[Reference, BeforeValidator(parse_reference), WithJsonSchema(_REFERENCE)]
SecretReferences = Annotated[
    list[Reference],
    BeforeValidator(_references),
    WithJsonSchema({"type": "array", "items": _REFERENCE, "uniqueItems": True}),
]
WeekDays = Annotated[list[str], BeforeValidator(_days)]
Hours = Annotated[str, BeforeValidator(_hours)]
Fields = Annotated[dict[str, str], BeforeValidator(_fields)]
