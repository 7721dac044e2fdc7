"""Loads the configuration: the file, its sections, then the checks across applications."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rotator.config import schema, sections
from rotator.config.problems import Problems, dotted
from rotator.config.renamed import translate
from rotator.config.required_tables import check_placeholders, needed, users_of
from rotator.config.settings import (
    Configuration,
)
from rotator.config.specs import build
from rotator.config.table_reader import read_table, table_of
from rotator.system.file_permissions import UntrustedFile, read_file
from rotator.util.suggestions import closest_match

if TYPE_CHECKING:
    from collections.abc import Collection


_TABLES = (*schema.SINGLE, *schema.NAMED)

_LARGEST = 64 * 1024 * 1024
"""Maximum bytes of a configuration; ten thousand applications need a fraction of it."""


def load(path: Path, *, only: Collection[str] = (), credentials: bool = True) -> Configuration:
    """Loads the configuration in that file. Contacts nothing. Raises ``ConfigurationError`` with
    every problem.

    ``only``: the applications to load; problems of others alone are in ``set_aside``.
    ``credentials``: whether the files that it names are checked.
    """
    problems = Problems(str(path), files=credentials)
    data = _parse(path, problems)
    problems.stop()
    problems.only = needed(data, only)
    warnings = translate(data, problems)
    for name in data:
        if name not in _TABLES:
            problems.add(dotted(name), f"is not an option here; {closest_match(name, _TABLES)}")
    folder = path.absolute().parent
    users = users_of(data)
    vault = sections.read_vault(data, folder, problems)
    daemon = sections.read_daemon(data, problems)
    control = sections.read_control(data, problems)
    with problems.concerning(()):  # needed by the daemon alone, or by no rotation
        listen = sections.read_listen(data, problems)
        webhook = sections.read_webhook(data, folder, problems)
        heartbeat = sections.read_heartbeat(data, folder, problems) or sections.read_heartbeat({}, folder, problems)
        notifications = sections.read_notifications(data, folder, problems) or sections.read_notifications(
            {}, folder, problems
        )
    accounts = sections.read_accounts(data, folder, users, problems)
    own_keys = sections.read_own_keys(data, users, problems)
    defaults = read_table(schema.DefaultsTable, data.get("defaults", {}), ("defaults",), problems)
    applications = sections.read_applications(data, problems)
    check_placeholders(data, users, problems)
    ledger_path = table_of(data, "vault").get("ledger_path")
    specs = build(applications | own_keys, defaults, accounts, users, ledger_path, daemon, problems)
    problems.stop()
    specs = {name: spec for name, spec in specs.items() if name not in problems.left_out}
    if vault is None or daemon is None or heartbeat is None or notifications is None:
        raise AssertionError("a table without problems was not converted")
    used = {spec.account for spec in specs.values()} if problems.only else accounts.keys()
    sound = {name: account for name, account in accounts.items() if account and name in used}
    return Configuration(
        path=path,
        vault=vault,
        accounts=sound,
        specs=specs,
        daemon=daemon,
        heartbeat=heartbeat,
        notifications=notifications,
        listen=listen,
        control=control,
        webhook=webhook,
        warnings=warnings,
        set_aside=problems.set_aside,
        left_out=frozenset({*table_of(data, "applications"), *own_keys} - specs.keys()),
    )


def _parse(path: Path, problems: Problems) -> dict[str, Any]:
    try:
        text = read_file(path, _LARGEST).decode()
    except FileNotFoundError:
        problems.add(
            "",
            "there is no configuration here; begin with config/rotator.small.toml of the project, or say where yours "
            "is with --config FILE or $ROTATOR_CONFIG (to see everything work without any configuration: rotator demo)",
        )
    except PermissionError:
        problems.add("", "this user may not read it; run as the user of the service, or as root", private=True)
    except UnicodeDecodeError:
        problems.add("", "is not text in UTF-8; save it again as UTF-8")
    except UntrustedFile as error:
        problems.add("", str(error.strerror))
    except OSError:
        problems.add("", "cannot be read; name a plain file")
    else:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            # The message of the parser contains the position and at most one character of the text.
            message = str(error)
            problems.add("", f"is not TOML: {message[:1].lower()}{message[1:]}; correct it there or just before")
        except ValueError:
            problems.add("", "is not TOML: it holds a number of thousands of digits; write the number that is meant")
        except RecursionError:
            problems.add("", "is nested far too deeply; write plain tables")
    return {}
