"""Hostile configurations, files and environments."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from click import ClickException

from rotator.api.client import directory
from rotator.cli.times import parse_time_argument
from rotator.config import Reference, load, locate
from rotator.config.runtime_directory import default_directory, socket_path_fault
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError, RotatorError
from rotator.system import process_identity
from rotator.system.file_permissions import read_file
from rotator.system.sd_notify import ServiceManager
from rotator.system.users import user_id
from rotator.util.durations import parse_duration
from tests.fuzz.hostile import HUGE, LETTERS, NUMBERS, SECRET, TIMES, WORDS, string
from tests.fuzz.services import told
from tests.vault.test_codec import NOW

SOUND: dict[str, dict[str, str]] = {
    "vault": {
        "address": '"https://vault.test:8200"',
        "auth": '{ method = "approle", role_id = "file:secret", secret_id = "file:secret" }',
        "ledger_path": '"secret/rotator"',
        "namespace": '"team"',
        "timeout": '"15s"',
        "proxy": '"http://127.0.0.1:3128"',
        "allow_http": "false",
    },
    "accounts.acme": {
        "organization_id": '"id-1"',
        "secret_key": '"file:secret"',
        "access_key": '"SCWAAAAAAAAAAAAAAAAA"',
        "api_url": '"https://api.test"',
        "rate_limit": "50.0",
    },
    "daemon": {
        "workers": "16",
        "shutdown_timeout": '"30s"',
        "max_clock_skew": '"30s"',
        "startup_spread": '"1h"',
        "share_looks": "false",
    },
    "control": {"enabled": "true", "directory": '"/run/rotator"', "read_group": '"rotator-read"'},
    "webhook": {
        "listen": '"127.0.0.1:9465"',
        "signing_key": '"file:secret"',
        "token": '"file:secret"',
        "rate_limit": "6",
    },
    "metrics": {"listen": '"127.0.0.1:9464"', "allow_remote": "false"},
    "heartbeat": {"url": '"file:address"', "interval": '"1m"'},
    "notifications": {
        "name": '"rotator"',
        "targets": '["file:address"]',
        "min_interval": '"5m"',
        "deadline_warning": '"3d"',
    },
    "defaults": {
        "every": '"30d"',
        "grace": '"24h"',
        "timezone": '"UTC"',
        "window": '{ days = ["mon"], hours = "22:00-06:00" }',
        "jitter": '"3d"',
        "max_age": '"45d"',
        "lifetime": '"90d"',
        "verification": '{ successes = 3, interval = "10s", timeout = "5m" }',
        "max_live_keys": "5",
        "purpose": '"checkout"',
        "fields": '{ A = "{access_key}", B = "{secret_key}" }',
    },
    "applications.billing": {"application_id": '"b-1"', "path": '"secret/apps/billing"'},
    "applications.reports": {
        "application_id": '"r-1"',
        "path": '"secret/apps/reports"',
        "cron": '"0 3 * * 1"',
        "jitter": '"30m"',
    },
}
PLACES = [(table, option) for table, options in SOUND.items() for option in options]


@cache
def folder() -> Path:
    """Where the files are, for as long as the process runs."""
    place = Path(tempfile.mkdtemp(prefix="rotator-fuzz-"))
    for name, content in (("secret", SECRET), ("address", "https://hook.test/" + SECRET)):
        (place / name).touch(mode=0o600)
        (place / name).write_text(content)
    os.mkfifo(place / "pipe", 0o600)
    (place / "directory").mkdir()
    (place / "link").symlink_to("link")
    (place / "device").symlink_to("/dev/zero")
    (place / "huge").touch(mode=0o600)
    os.truncate(place / "huge", 1 << 40)
    (place / "empty").touch(mode=0o600)
    (place / "closed").touch(mode=0o000)
    (place / "bytes").touch(mode=0o600)
    (place / "bytes").write_bytes(bytes(range(256)) * 8)
    return place


def toml(rng: Random) -> str:
    """A value of TOML, or what claims to be one."""
    kind = rng.randrange(12)
    if kind < 3:
        return rng.choice((*NUMBERS, "inf", "-inf", "nan", "0x" + "f" * 5000, "0b1", "1_0", "+1"))
    if kind == 3:
        return rng.choice((*TIMES, "07:32:00", "1979-05-27", "1979-05-27T07:32:00.999999999Z"))
    if kind == 4:
        return rng.choice(
            ("true", "[]", "{}", "[[]]", "{a.b=1}", "[1,'x']", "[" * 2000 + "]" * 2000, "''", '""', rng.choice(HUGE))
        )
    if kind == 5:
        return f"[{toml(rng)}, {toml(rng)}]" if rng.random() < 0.8 else f"{{ a = {toml(rng)} }}"
    if kind < 9:
        return '"' + string(rng).translate(ESCAPES) + '"'
    if kind == 9:
        unit = rng.choice(("s", "m", "h", "d", "w", "", "y", "ms", "\u0663s"))
        return f'"{rng.choice((*NUMBERS, "1", "90"))}{unit}"'
    if kind == 10:
        cron = " ".join(
            rng.choice(("*", "0", "*/5", "1-5", "99", "L", "x", "*/0", "9" * 50, "1,2,3", "31"))
            for _ in range(rng.choice((5, 5, 4, 6)))
        )
        return f'"{cron}"'
    return "'" + string(rng).replace("'", "") + "'"


ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n"}


def configuration(rng: Random) -> None:
    """A configuration is sound, or refused with every problem by name, and without a value."""
    text = ""
    changes = {rng.choice(PLACES): toml(rng) for _ in range(rng.choice((1, 1, 2, 4)))}
    for table, options in SOUND.items():
        text += f"[{table}]\n"
        for option, sound in options.items():
            if rng.random() > 0.02:
                text += f"{option} = {changes.get((table, option), sound)}\n"
        if rng.random() < 0.02:
            text += f"{rng.choice(('strange', 'every', 'grace'))} = {toml(rng)}\n"
    if rng.random() < 0.05:
        text += f'[applications."{string(rng).translate(ESCAPES)}"]\npath = {toml(rng)}\n'
    file = folder() / "rotator.toml"
    file.write_bytes(text.encode(errors="surrogatepass") if rng.random() < 0.97 else rng.randbytes(200))
    file.chmod(0o600)
    only = () if rng.random() < 0.7 else ("billing",)
    try:
        load(file, only=only, credentials=rng.random() < 0.9)
    except ConfigurationError as error:
        told(error)


NAMES = ["secret", "pipe", "directory", "link", "device", "huge", "empty", "closed", "bytes", "missing", "secret/x", ""]


def files(rng: Random) -> None:
    """Whatever stands at the path of a file: read, or refused by name, at once."""
    path = folder() / rng.choice(NAMES)
    kind = rng.randrange(4)
    if kind == 0:
        try:
            load(path)
        except ConfigurationError as error:
            told(error)
    elif kind == 1:
        with suppress(OSError):
            assert len(read_file(path, 1000)) <= 1000
    else:
        # A reference is public: what stands in it is repeated.
        words = string(rng).replace(SECRET, ""), string(rng).replace(SECRET, "")
        reference = rng.choice((f"file:{path}", f"credential:{words[0]}", f"{words[0]}:{words[1]}", f"file:{words[0]}"))
        try:
            found = Reference.parse(reference)
        except ValueError as error:
            told(error)
            return
        with environment({"CREDENTIALS_DIRECTORY": str(folder())} if rng.random() < 0.5 else {}):
            try:
                found.check(lines=rng.random() < 0.3)
                found.resolve(lambda _path, _field: Secret(SECRET))
            except ConfigurationError as error:
                told(error)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


VARIABLES = [
    *(
        "ROTATOR_CONFIG",
        "ROTATOR_CONTROL",
        "ROTATOR_BOOT_ID",
        "CREDENTIALS_DIRECTORY",
        "RUNTIME_DIRECTORY",
        "NOTIFY_SOCKET",
    ),
    *("WATCHDOG_USEC", "WATCHDOG_PID", "SUDO_USER", "HTTPS_PROXY", "COLUMNS", "TERM", "NO_COLOR", "LANG"),
]


def environment_text(rng: Random) -> str:
    pieces = (*WORDS, *LETTERS, *NUMBERS, *TIMES, "/run/rotator", "\u0663\u0664", "@abstract", "vsock:2:1")
    text = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 3)))
    return text.replace("\0", "").encode(errors="replace").decode(errors="replace")[:50_000]


def variables(rng: Random) -> None:
    """Every variable that is read, and words of a command line that mean times: a value, or a refusal by name."""
    values: dict[str, Any] = {name: environment_text(rng) for name in rng.sample(VARIABLES, 3)}
    values["WATCHDOG_USEC"] = rng.choice((*NUMBERS, "\u0663\u0664", "", "30000000"))
    with environment(values):
        manager = ServiceManager()
        assert manager.watchdog_interval is None or manager.watchdog_interval.total_seconds() > 0
        manager.status(string(rng).encode(errors="replace").decode())
        manager.close()
        try:
            directory(locate())
        except RotatorError as error:
            told(error)
        socket_path_fault(default_directory() / "control.sock")
        assert "\n" not in user_id()
        process_identity.is_gone(string(rng))
        process_identity.is_gone(
            f"{'0' * 16}.{process_identity.current().split('.')[1]}.{rng.choice(NUMBERS)}.{rng.choice(NUMBERS)}"
        )
    for parse in (lambda text: parse_time_argument(text, NOW), parse_duration):
        with suppress(ValueError, RotatorError, ClickException):
            parse(rng.choice((string(rng), rng.choice(NUMBERS) + rng.choice("smhd"))))
