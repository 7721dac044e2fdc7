from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import rotator.config
from rotator.config import DEFAULT_PATH, Configuration, Listener, Reference, load, locate
from rotator.domain.document import DEFAULT_FIELDS
from rotator.domain.secret import Secret
from rotator.domain.spec import MaintenanceWindow, VerificationPolicy
from rotator.errors import ConfigurationError

SECRET = "5ec2e7f0-aaaa-4bbb-8ccc-1234567890ab"
ORGANIZATION = "1f0e2d3c-1111-4111-8111-111111111111"


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name in ("secret", "role-id"):
        keep(folder / name)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def keep(path: Path, content: str = SECRET + "\n", mode: int = 0o400) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


BASE: dict[str, Any] = {
    "vault": {
        "address": "https://vault.acme.test:8200",
        "auth": {"method": "approle", "role_id": "credential:role-id", "secret_id": "credential:secret"},
        "ledger_path": "secret/rotator",
    },
    "accounts": {"acme": {"organization_id": ORGANIZATION, "secret_key": "credential:secret"}},
    "defaults": {},
    "applications": {
        "billing": {"application_id": "b-1", "path": "secret/apps/billing", "every": "30d", "grace": "24h"},
        "reports": {"application_id": "r-1", "path": "secret/apps/reports", "every": "30d", "grace": "24h"},
    },
    "daemon": {},
}
GONE = object()
OWN_KEY = {"application_id": "m-1", "path": "secret/rotator-keys/acme", "every": "90d"}


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def write(path: Path, changes: dict[str, Any]) -> Path:
    """The base with changes such as {"applications.billing.grace": "1h"} in a file."""
    data = copy.deepcopy(BASE)
    for where, value in changes.items():
        *tables, name = where.split(".")
        table = data
        for step in tables:
            table = table.setdefault(step, {})
        if value is GONE:
            del table[name]
        else:
            table[name] = value
    path.write_text("".join(f"{quoted(name)} = {toml(value)}\n" for name, value in data.items()))
    return path


def sound(tmp_path: Path, **changes: Any) -> Configuration:
    return load(write(tmp_path / "rotator.toml", {name.replace("__", "."): value for name, value in changes.items()}))


def problems(path: Path) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert len(told) == len(caught.value.problems)
    assert SECRET not in repr(caught.value) + str(caught.value)
    chained: BaseException | None = caught.value
    while chained := chained and chained.__context__:
        assert SECRET not in repr(chained) + str(vars(chained))
    return told


# --- what a sound configuration comes to


def test_the_smallest_configuration_has_sensible_defaults(tmp_path: Path) -> None:
    configuration = sound(tmp_path, applications__billing__grace=GONE)
    spec = configuration.specs["billing"]
    assert spec.account == "acme"
    assert spec.bearer == "b-1"
    assert spec.organization_id == ORGANIZATION
    assert spec.grace == timedelta(hours=24)
    assert spec.jitter == timedelta(days=3)
    assert spec.fields == DEFAULT_FIELDS
    assert spec.verification == VerificationPolicy(3, timedelta(seconds=10), timedelta(minutes=5))
    assert spec.emergency_verification == VerificationPolicy(2, timedelta(milliseconds=500), timedelta(minutes=1))
    assert spec.resync_interval == timedelta(minutes=15)
    assert spec.stale_claim_timeout == timedelta(minutes=10)
    assert spec.max_clock_skew == configuration.daemon.max_clock_skew == timedelta(seconds=30)
    assert spec.startup_spread == configuration.daemon.startup_spread == timedelta(hours=1)
    assert configuration.daemon.share_looks is False
    assert (spec.window, spec.timezone, spec.lifetime, spec.max_age) == (None, "UTC", None, None)
    account = configuration.accounts["acme"]
    assert (account.provider, account.api_url, account.proxy) == ("scaleway", "https://api.scaleway.com", None)
    assert configuration.vault.ledger_path == "secret/rotator"
    assert configuration.vault.auth.mount == "approle"
    assert configuration.vault.namespace == ""


def test_options_of_an_application_win_over_defaults(tmp_path: Path) -> None:
    configuration = sound(
        tmp_path,
        defaults={"every": "7d", "grace": "2h", "timezone": "Europe/Paris", "window": {"days": ["sat"]}},
        applications__billing__every=GONE,
        applications__reports__window={"hours": "22:00-06:00", "days": ["Mon", "tuesday"]},
    )
    billing, reports = configuration.specs["billing"], configuration.specs["reports"]
    assert (billing.every, billing.grace, billing.timezone) == (timedelta(days=7), timedelta(hours=24), "Europe/Paris")
    assert billing.window == MaintenanceWindow(frozenset({5}), 0, 24 * 60)
    assert reports.window == MaintenanceWindow(frozenset({0, 1}), 22 * 60, 6 * 60)


def test_cron_of_an_application_replaces_every_of_defaults(tmp_path: Path) -> None:
    configuration = sound(
        tmp_path, defaults={"every": "7d"}, applications__billing__every=GONE, applications__billing__cron="0 3 * * 1"
    )
    spec = configuration.specs["billing"]
    assert (spec.every, spec.cron, spec.jitter) == (None, "0 3 * * 1", timedelta(0))


def test_every_of_an_application_replaces_cron_of_defaults(tmp_path: Path) -> None:
    spec = sound(tmp_path, defaults={"cron": "0 3 * * 1"}, applications__billing__every="7d").specs["billing"]
    assert (spec.every, spec.cron) == (timedelta(days=7), None)


def test_an_application_may_say_a_part_of_a_proof(tmp_path: Path) -> None:
    configuration = sound(
        tmp_path,
        defaults={"verification": {"successes": 5, "timeout": "3m"}},
        applications__billing__verification={"interval": "1s"},
    )
    assert configuration.specs["billing"].verification == VerificationPolicy(
        5, timedelta(seconds=1), timedelta(minutes=3)
    )
    assert configuration.specs["reports"].verification == VerificationPolicy(
        5, timedelta(seconds=10), timedelta(minutes=3)
    )


def test_defaults_fit_short_intervals_and_long_proofs(tmp_path: Path) -> None:
    configuration = sound(
        tmp_path,
        applications__billing={"application_id": "b", "path": "secret/b", "every": "5s"},
        applications__reports__publish_timeout="1h",
    )
    billing = configuration.specs["billing"]
    assert (billing.grace, billing.jitter) == (timedelta(seconds=5), timedelta(milliseconds=500))
    assert configuration.specs["reports"].stale_claim_timeout == timedelta(hours=1, minutes=6)


def test_an_application_without_schedule_is_rotated_on_request_only(tmp_path: Path) -> None:
    spec = sound(tmp_path, applications__billing__every=GONE).specs["billing"]
    assert (spec.every, spec.cron, spec.jitter) == (None, None, timedelta(0))


def test_several_accounts_may_be_chosen_from(tmp_path: Path) -> None:
    other = {
        "organization_id": "other",
        "secret_key": "vault:secret/admin/scaleway#key",
        "rate_limit": 3,
        "api_url": "http://[::1]:81/",
    }
    configuration = sound(
        tmp_path, accounts__other=other, defaults={"account": "acme"}, applications__billing__account="other"
    )
    assert [spec.account for spec in configuration.specs.values()] == ["other", "acme"]
    assert configuration.accounts["other"].secret_key == Reference("vault", "secret/admin/scaleway", "key")
    assert configuration.accounts["other"].api_url == "http://[::1]:81"
    assert configuration.accounts["other"].rate_limit == 3


def test_the_key_of_an_account_is_an_application_with_the_defaults_of_all(tmp_path: Path) -> None:
    own = OWN_KEY | {"every": "60d"}
    found = sound(
        tmp_path, accounts__acme__own_key=own, accounts__acme__secret_key=GONE, defaults__consumer_refresh="1m"
    )
    spec = found.specs["acme-own-key"]
    assert (spec.account, spec.bearer, spec.path, spec.fields) == (
        "acme",
        "m-1",
        "secret/rotator-keys/acme",
        DEFAULT_FIELDS,
    )
    assert (spec.every, spec.grace) == (timedelta(days=60), timedelta(hours=24))
    assert (found.accounts["acme"].own_key, found.accounts["acme"].secret_key) == ("acme-own-key", None)


def test_one_bearer_may_have_the_same_id_in_two_organisations(tmp_path: Path) -> None:
    other = {"organization_id": "other", "secret_key": "credential:secret"}
    sound(tmp_path, accounts__other=other, applications__billing__account="acme", applications__reports__account="other",
          applications__reports__application_id="b-1")  # fmt: skip


@pytest.mark.parametrize(
    "auth",
    [
        {"method": "token", "token": "file:token"},
        {"method": "approle", "role_id": "file:token", "mount": "machines"},
        {"method": "cert", "certificate": "file:public.pem", "key": "file:private.pem", "role": "rotator"},
        {"method": "jwt", "jwt": "file:token", "role": "rotator"},
    ],
    ids=lambda auth: auth["method"],
)
def test_every_way_to_log_in_is_taken_and_relative_files_begin_at_the_configuration(
    tmp_path: Path, auth: dict[str, str]
) -> None:
    keep(tmp_path / "token")
    keep(tmp_path / "private.pem", "-----BEGIN\nPRIVATE\n")
    keep(tmp_path / "public.pem", mode=0o644)
    found = sound(tmp_path, vault__auth=auth).vault.auth
    assert found.method == auth["method"]
    references = [name for name in auth if auth[name].startswith("file:")]
    assert all(getattr(found, name).file().parent == tmp_path for name in references)
    assert found.mount == auth.get("mount", "" if auth["method"] == "token" else auth["method"])


def test_no_applications_is_sound_because_the_last_one_may_have_left(tmp_path: Path) -> None:
    assert sound(tmp_path, applications=GONE).specs == {}


def test_a_configuration_shows_no_secret(tmp_path: Path) -> None:
    assert SECRET not in repr(sound(tmp_path))


# --- every mistake, with the path that it is told at and the remedy

BILLING = "applications.billing"
MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    # what is wrong: (changes, path of the problem, part of the message)
    "an unknown table": ({"valt": {}}, "valt", "is not an option here; did you mean vault?"),
    "an unknown option": ({f"{BILLING}.gracee": "1h"}, f"{BILLING}.gracee", "is not an option here; did you mean grace?"),
    "an unknown option of a nested table": ({f"{BILLING}.verification": {"succeses": 3}}, f"{BILLING}.verification.succeses", "did you mean successes?"),
    "an unknown option that is like none": ({"daemon.zzz": 1}, "daemon.zzz", "write one of: max_clock_skew, share_looks, shutdown_timeout,"),
    "application_id in defaults": ({"defaults.application_id": "x"}, "defaults.application_id", "is not an option here"),
    "a number for a duration": ({f"{BILLING}.grace": 30}, f"{BILLING}.grace", "write it in quotes with its unit"),
    "a duration without unit": ({f"{BILLING}.grace": "30"}, f"{BILLING}.grace", "is not a duration; write a number and a unit"),
    "a duration below a second": ({f"{BILLING}.grace": "0s"}, f"{BILLING}.grace", "is too short; write 1s or more"),
    "a pause below a tenth of a second": ({f"{BILLING}.verification": {"interval": "9ms"}}, f"{BILLING}.verification.interval", "write 100ms or more"),
    "text for a number": ({f"{BILLING}.max_live_keys": "5"}, f"{BILLING}.max_live_keys", "is not a whole number"),
    "a fraction for a whole number": ({"daemon.workers": 1.5}, "daemon.workers", "is not a whole number"),
    "a number that is too small": ({"daemon.workers": 0}, "daemon.workers", "is too small; write 1 or more"),
    "a number that is too large": ({"daemon.workers": 5000}, "daemon.workers", "is too large; write 512 or less"),
    "a rate of nothing": ({"accounts.acme.rate_limit": 0}, "accounts.acme.rate_limit", "is too small; write more than 0"),
    "text for true or false": ({"vault.allow_http": "no"}, "vault.allow_http", "is neither true nor false"),
    "text for a table": ({f"{BILLING}.window": "nights"}, f"{BILLING}.window", "is not a table"),
    "text for an application": ({BILLING: "secret/x"}, BILLING, "is not a table"),
    "text for all applications": ({"applications": "x"}, "applications", "write [applications.NAME]"),
    "text for vault": ({"vault": "x"}, "vault", "is not a table"),
    "no vault": ({"vault": GONE}, "vault", "is missing: write [vault]"),
    "no address": ({"vault.address": GONE}, "vault.address", "is missing: the address of Vault or OpenBao"),
    "no accounts": ({"accounts": GONE}, "accounts", "is missing: write [accounts.NAME]"),
    "an account that would be taken for Vault": (
        {"accounts": {"vault": {"organization_id": ORGANIZATION, "secret_key": "credential:secret"}}}, "accounts.vault", "write another one",
    ),
    "no organisation": ({"accounts.acme.organization_id": GONE}, "accounts.acme.organization_id", "is missing"),
    "no bearer": ({f"{BILLING}.application_id": GONE}, f"{BILLING}.application_id", "is missing: the id of the IAM application"),
    "no path": ({f"{BILLING}.path": GONE}, f"{BILLING}.path", "is missing: where consumers read the key"),
    "no method": ({"vault.auth": {"token": "credential:secret"}}, "vault.auth.method", "is missing: how to log in"),
    "an unknown method": ({"vault.auth": {"method": "userpass"}}, "vault.auth.method", "write 'approle', 'cert', 'jwt' or 'token'"),
    "a method without what it needs": ({"vault.auth": {"method": "jwt", "role": "r"}}, "vault.auth.jwt", '"jwt" needs it'),
    "a method with what is another's": ({"vault.auth.token": "credential:secret"}, "vault.auth.token", 'not belong to method "approle"'),
    "a login that is in Vault": ({"vault.auth.secret_id": "vault:a/b#c"}, "vault.auth.secret_id", "cannot be read before the login"),
    "a literal secret": ({"accounts.acme.secret_key": SECRET}, "accounts.acme.secret_key", "is written in the open"),
    "a literal secret for the login": ({"vault.auth.secret_id": SECRET}, "vault.auth.secret_id", "is written in the open"),
    "a literal secret with a colon": ({"accounts.acme.secret_key": "key:" + SECRET}, "accounts.acme.secret_key", "in the open"),
    "a secret after vault:": ({"accounts.acme.secret_key": "vault:" + SECRET}, "accounts.acme.secret_key", 'write "vault:MOUNT/PATH#FIELD"'),
    "a credential with a slash": ({"accounts.acme.secret_key": "credential:../x"}, "accounts.acme.secret_key", 'write "credential:NAME"'),
    "an environment variable": ({"accounts.acme.secret_key": "env:KEY"}, "accounts.acme.secret_key", "is written in the open"),
    "a secret as an unknown option": ({"accounts.acme.secretkey": SECRET}, "accounts.acme.secretkey", "did you mean secret_key?"),
    "a secret for a number": ({"daemon.workers": SECRET}, "daemon.workers", "is not a whole number"),
    "a secret for a duration": ({f"{BILLING}.grace": SECRET}, f"{BILLING}.grace", "is not a duration"),
    "a secret file that is missing": ({"accounts.acme.secret_key": "file:/nowhere/key"}, "accounts.acme.secret_key", "file:/nowhere/key does not exist"),
    "a credential that is missing": ({"accounts.acme.secret_key": "credential:x"}, "accounts.acme.secret_key", "add it to the unit"),
    "a folder for a secret file": ({"accounts.acme.secret_key": "file:/"}, "accounts.acme.secret_key", "is not a plain file"),
    "a certificate that is missing": ({"vault.ca_cert": "nowhere.pem"}, "vault.ca_cert", "does not exist"),
    "a certificate of an account that is missing": ({"accounts.acme.ca_cert": "nowhere.pem"}, "accounts.acme.ca_cert", "does not exist"),
    "an address without TLS": ({"vault.address": "http://vault:8200"}, "vault.address", "write https://, or set allow_http"),
    "a proxy elsewhere for an address of this machine": (
        {"vault.address": "http://127.0.0.1:8200", "vault.proxy": "http://proxy.acme.test:3128"}, "vault.proxy", "leave out proxy",
    ),
    "the path of the API": ({"vault.address": "https://vault:8200/v1/"}, "vault.address", 'write "https://vault:8200"'),
    "an API without TLS": ({"accounts.acme.api_url": "http://api.acme.test"}, "accounts.acme.api_url", "is without TLS"),
    "a name that only begins like this machine": ({"vault.address": "HTTP://127.0.0.1.acme.test"}, "vault.address", "is without TLS"),
    "another that does": ({"vault.address": "http://localhost.acme.test"}, "vault.address", "is without TLS"),
    "metrics for other machines": ({"metrics": {"listen": "0.0.0.0:9464"}}, "metrics.listen", "write 127.0.0.1, or set allow_remote"),
    "metrics for another machine": ({"metrics": {"listen": "[2001:db8::1]:9464"}}, "metrics.listen", "or set allow_remote"),
    "metrics without a port": ({"metrics": {"listen": "127.0.0.1"}}, "metrics.listen", "is not where to listen"),
    "metrics on a port that is none": ({"metrics": {"listen": "127.0.0.1:65536"}}, "metrics.listen", "is not where to listen"),
    "metrics on a name": ({"metrics": {"listen": "rotator.acme.test:9464"}}, "metrics.listen", "is not where to listen"),
    "metrics on a relative socket": ({"metrics": {"listen": "unix:metrics.sock"}}, "metrics.listen", "is not where to listen"),
    "metrics on an IPv6 address without brackets": ({"metrics": {"listen": "::1:9464"}}, "metrics.listen", "is not where to listen"),
    "a secret for where to listen": ({"metrics": {"listen": SECRET}}, "metrics.listen", "is not where to listen"),
    "an address that is none": ({"vault.address": "vault:8200"}, "vault.address", "is not a web address"),
    "an address with a bad port": ({"vault.address": "https://vault:x"}, "vault.address", "is not a web address"),
    "an address with a space": ({"vault.address": "https://vault x"}, "vault.address", "is not a web address"),
    "a password in an address": ({"vault.proxy": f"http://me:{SECRET}@proxy"}, "vault.proxy", "leave out user, password"),
    "a cron expression that is none": ({f"{BILLING}.cron": "daily"}, f"{BILLING}.cron", "write five fields"),
    "a cron expression that never happens": ({f"{BILLING}.cron": "0 0 31 2 *"}, f"{BILLING}.cron", "bad day-of-month field"),
    "an unknown time zone": ({f"{BILLING}.timezone": "Paris"}, f"{BILLING}.timezone", "is not a time zone"),
    "every and cron": ({f"{BILLING}.cron": "0 3 * * 1"}, f"{BILLING}.cron", "write only one of the two"),
    "every and cron in defaults": ({"defaults": {"every": "9d", "cron": "0 3 * * 1"}}, "defaults.cron", "write only one of the two"),
    "a day that does not exist": ({f"{BILLING}.window": {"days": ["moo"]}}, f"{BILLING}.window.days", "names a day that does not exist"),
    "no days": ({f"{BILLING}.window": {"days": []}}, f"{BILLING}.window.days", "is not a list of days"),
    "hours that are none": ({f"{BILLING}.window": {"hours": "22-6"}}, f"{BILLING}.window.hours", 'such as "22:00-06:00"'),
    "an hour that does not exist": ({f"{BILLING}.window": {"hours": "25:00-06:00"}}, f"{BILLING}.window.hours", "are not hours"),
    "two applications on one path": ({"applications.reports.path": "secret/apps/billing"}, "applications.reports.path", "of application billing"),
    "two applications on one bearer": ({"applications.reports.application_id": "b-1"}, "applications.reports.application_id", "is also the bearer of application billing"),
    "a path without mount": ({f"{BILLING}.path": "billing"}, f"{BILLING}.path", "is not MOUNT/PATH"),
    "a path with a slash in front": ({f"{BILLING}.path": "/secret/billing"}, f"{BILLING}.path", "is not MOUNT/PATH"),
    "a path with an empty part": ({f"{BILLING}.path": "secret//billing"}, f"{BILLING}.path", "is not MOUNT/PATH"),
    "a path that climbs": ({f"{BILLING}.path": "secret/../billing"}, f"{BILLING}.path", "is not MOUNT/PATH"),
    "a path with a question mark": ({f"{BILLING}.path": "secret/a?version=1"}, f"{BILLING}.path", "is not MOUNT/PATH"),
    "a path of the HTTP API": ({f"{BILLING}.path": "secret/data/billing"}, f"{BILLING}.path", 'has "data" after the mount'),
    "a path among the ledgers": ({f"{BILLING}.path": "secret/rotator/billing"}, f"{BILLING}.path", "is inside of vault.ledger_path"),
    "a path that is the ledgers'": ({f"{BILLING}.path": "secret/rotator"}, f"{BILLING}.path", "is inside of vault.ledger_path"),
    "fields without the secret": ({f"{BILLING}.fields": {"a": "{access_key}"}}, f"{BILLING}.fields", 'exactly one field that is "{secret_key}"'),
    "fields without the access key": ({f"{BILLING}.fields": {"a": "{secret_key}"}}, f"{BILLING}.fields", 'exactly one field that is "{access_key}"'),
    "fields with the secret twice": (
        {f"{BILLING}.fields": {"a": "{access_key}", "b": "{secret_key}", "c": "{access_key}:{secret_key}"}},
        f"{BILLING}.fields",
        "no other that holds it",
    ),
    "an unknown placeholder": (
        {f"{BILLING}.fields": {"a": "{access_key}", "b": "{secret_key}", "c": "{project}"}},
        f"{BILLING}.fields",
        "has a placeholder that does not exist; these do: {access_key}",
    ),
    "half a placeholder": ({f"{BILLING}.fields": {"a": "{access_key}", "b": "{secret_key}", "c": "{"}}, f"{BILLING}.fields", "placeholder"),
    "a field that is a number": ({f"{BILLING}.fields": {"a": 1}}, f"{BILLING}.fields", "is not a table of fields"),
    "an unknown account": ({f"{BILLING}.account": "acmee"}, f"{BILLING}.account", "is not one of [accounts]; did you mean acme?"),
    "no choice among accounts": ({"accounts.b": BASE["accounts"]["acme"]}, f"{BILLING}.account", "there are several; write one of: acme, b"),
    "a name with capitals": ({"applications.Billing": {}}, "applications.Billing", "is not a good name"),
    "a name with a line break": ({"accounts.a\nb": {}}, "accounts.'a\\nb'", "is not a good name"),
    "a name that is too long": ({"applications." + "a" * 65: {}}, "applications." + "a" * 65, "at most 64"),
    "grace longer than the interval": ({f"{BILLING}.grace": "31d"}, f"{BILLING}.grace", "31d is longer than the interval (30d)"),
    "grace of defaults longer than the interval": (
        {"defaults.grace": "31d", f"{BILLING}.grace": GONE}, f"{BILLING}.every", "31d is longer than the interval (30d)",
    ),
    "grace longer than the interval of cron": (
        {f"{BILLING}.every": GONE, f"{BILLING}.cron": "0 3 * * 1,2", f"{BILLING}.grace": "25h"}, f"{BILLING}.grace", "than the interval (1d)",
    ),
    "grace shorter than refresh": ({f"{BILLING}.consumer_refresh": "25h"}, f"{BILLING}.grace", "1d is shorter than consumer_refresh (1d1h)"),
    "jitter as long as the interval": ({f"{BILLING}.jitter": "30d"}, f"{BILLING}.jitter", "must be shorter than the interval"),
    "max_age below every": ({f"{BILLING}.max_age": "29d"}, f"{BILLING}.max_age", "write at least 30d"),
    "a lifetime without room for grace": ({f"{BILLING}.lifetime": "30d"}, f"{BILLING}.lifetime", "write at least 33d8h"),
    "takeover during a proof": ({f"{BILLING}.stale_claim_timeout": "7m"}, f"{BILLING}.stale_claim_timeout", "write more than 7m"),
    "takeover during an emergency": (
        {f"{BILLING}.emergency_verification": {"timeout": "9m"}, f"{BILLING}.stale_claim_timeout": "10m"}, f"{BILLING}.stale_claim_timeout", "write more than 11m",
    ),
    "no management key": ({"accounts.acme.secret_key": GONE}, "accounts.acme.secret_key", "write a reference to the management key, or own_key"),
    "an own key without a path": ({"accounts.acme.own_key": {"application_id": "m-1"}}, "accounts.acme.own_key.path", "is missing"),
    "an own key with fields": (
        {"accounts.acme.own_key": OWN_KEY | {"fields": {"A": "{access_key}", "S": "{secret_key}"}}}, "accounts.acme.own_key.fields", "cannot be chosen",
    ),
    "an own key at a path that is taken": (
        {"accounts.acme.own_key": OWN_KEY | {"path": "secret/apps/billing"}}, "accounts.acme.own_key.path", "is also the path of application billing",
    ),
    "an own key of a bearer that is taken": (
        {"accounts.acme.own_key": OWN_KEY | {"application_id": "b-1"}}, "accounts.acme.own_key.application_id", "is also the bearer of application billing",
    ),
    "a bearer that is taken, under another name of its account": (
        {
            "accounts.again": BASE["accounts"]["acme"], f"{BILLING}.account": "acme",
            "applications.reports": BASE["applications"]["reports"] | {"account": "again", "application_id": "b-1"},
        },
        "applications.reports.application_id", "is also the bearer of application billing",
    ),
    "an own key with a grace that does not fit": (
        {"accounts.acme.own_key": OWN_KEY | {"grace": "91d"}}, "accounts.acme.own_key.grace", "is longer than the interval",
    ),
    "an application with the name of an own key": (
        {"accounts.acme.own_key": OWN_KEY, "applications.acme-own-key": {"application_id": "x-1", "path": "secret/x"}},
        "applications.acme-own-key", "has the name of the key of account acme",
    ),
    "a proof that cannot succeed": ({f"{BILLING}.verification": {"timeout": "20s"}}, f"{BILLING}.verification", "3 answers 10s apart take longer"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_alone_with_its_path_and_its_remedy(mistake: str, tmp_path: Path) -> None:
    changes, path, message = MISTAKES[mistake]
    told = problems(write(tmp_path / "rotator.toml", changes))
    assert message in told[path]
    # Two applications stand in the base, so what is wrong with both is told of both. Nothing else is told.
    assert {where.replace("reports", "billing") for where in told} == {path.replace("reports", "billing")}


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = problems(
        write(
            tmp_path / "rotator.toml",
            {
                "vault.address": 5,
                "vault.auth.secret_id": SECRET,
                "accounts.acme.secret_key": "file:nowhere",
                "daemon.worker": 3,
                f"{BILLING}.gracee": "1h",
                f"{BILLING}.grace": "40d",
                f"{BILLING}.path": "secret/rotator/x",
                f"{BILLING}.application_id": GONE,
                "applications.reports.account": "amce",
                "applications.reports.every": "1x",
            },
        )
    )
    assert set(told) == {
        "vault.address",
        "vault.auth.secret_id",
        "accounts.acme.secret_key",
        "daemon.worker",
        f"{BILLING}.gracee",
        f"{BILLING}.grace",
        f"{BILLING}.path",
        f"{BILLING}.application_id",
        "applications.reports.account",
        "applications.reports.every",
    }


def test_a_mistake_in_defaults_is_told_once_and_not_for_every_application(tmp_path: Path) -> None:
    changes = {"defaults": {"every": "1d", "grace": "2d"}}
    for name in ("billing", "reports"):
        changes |= {f"applications.{name}.every": GONE, f"applications.{name}.grace": GONE}  # type: ignore[dict-item]  # GONE is a mark
    assert set(problems(write(tmp_path / "rotator.toml", changes))) == {"defaults.grace"}


def test_http_is_allowed_to_this_machine_and_where_a_person_allows_it(tmp_path: Path) -> None:
    for address in ("http://localhost:8200", "http://127.0.0.1:8200", "http://127.8.8.8", "http://[::1]:8200"):
        assert sound(tmp_path, vault__address=address).vault.address == address
    assert (
        sound(tmp_path, vault__address="http://vault:8200", vault__allow_http=True).vault.address == "http://vault:8200"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:9464", Listener("127.0.0.1", 9464)),
        ("localhost:9464", Listener("127.0.0.1", 9464)),
        ("[::1]:9464", Listener("::1", 9464)),
        ("unix:/run/rotator/metrics.sock", Listener(path=Path("/run/rotator/metrics.sock"))),
    ],
)
def test_the_daemon_answers_this_machine_where_it_is_told_to(tmp_path: Path, written: str, meant: Listener) -> None:
    assert sound(tmp_path, metrics__listen=written).listen == meant
    assert str(meant) == written.replace("localhost", "127.0.0.1")


def test_it_answers_nowhere_unless_told_and_other_machines_only_where_a_person_allows_it(tmp_path: Path) -> None:
    assert sound(tmp_path).listen is None
    assert sound(tmp_path, metrics__listen="0.0.0.0:9464", metrics__allow_remote=True).listen == Listener(
        "0.0.0.0", 9464
    )


# --- the file itself


def test_no_configuration_is_told_kindly_with_where_it_was_looked_for_and_how_to_begin(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "rotator.toml"
    told = problems(path)
    assert told[""].startswith("there is no configuration here; begin with config/rotator.small.toml")
    assert "--config FILE or $ROTATOR_CONFIG" in told[""]
    assert "\n" not in told[""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"[vault\n",
            "is not TOML: expected ']' at the end of a table declaration (at line 1, column 7); correct it there",
        ),
        (b'\n\n[vault]\ntoken = "' + SECRET.encode() + b"\n", "(at line 4, column 46)"),
        (b"a = " + SECRET.encode(), "(at line 1, column"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"a = " + b"[" * 100_000, "is not TOML|is nested far too deeply"),
    ],
    ids=["a broken table", "an open string", "a bare secret", "another encoding", "a tower of brackets"],
)
def test_what_is_not_toml_is_told_with_the_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rotator.toml"
    path.write_bytes(content)
    found = problems(path)[""]
    assert message in found or any(part in found for part in message.split("|"))


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    assert problems(tmp_path)[""] == "is not a plain file; name one"


def test_c18_a_pipe_is_no_configuration_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rotator.toml")
    assert "is not a plain file" in problems(tmp_path / "rotator.toml")[""]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_configuration_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = keep(tmp_path / "rotator.toml", mode=0)
    assert "run as the user of the service" in problems(path)[""]


def test_an_empty_file_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "rotator.toml"
    path.write_text("")
    assert set(problems(path)) == {"vault", "accounts"}


def test_the_file_is_the_one_given_else_that_of_the_environment_else_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ROTATOR_CONFIG", raising=False)
    assert locate() == DEFAULT_PATH
    monkeypatch.setenv("ROTATOR_CONFIG", "/x.toml")
    assert locate() == Path("/x.toml")
    assert locate(Path("/y.toml")) == Path("/y.toml")


def test_a_command_that_reads_no_configuration_does_not_pay_for_pydantic() -> None:
    code = "import sys, rotator.config; sys.exit('pydantic' in sys.modules or 'tomllib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- references


def refused(reference: Reference) -> str:
    """What is said of a reference that cannot be followed, by the check and by the reading."""
    with pytest.raises(ConfigurationError) as caught:
        reference.resolve()
    if reference.kind != "vault":
        with pytest.raises(ConfigurationError, match=re.escape(str(caught.value))):
            reference.check()
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value.__context__, UnicodeDecodeError)
    return caught.value.problems[0].message


def test_a_secret_is_read_afresh_without_the_newline_that_ends_its_file(credentials: Path) -> None:
    reference = Reference.parse("credential:secret")
    assert reference.resolve() == Secret(SECRET)
    (credentials / "secret").chmod(0o600)
    (credentials / "secret").write_text("another one")
    assert reference.resolve() == Secret("another one")
    assert str(reference) == "credential:secret"


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("", 0o400, "is empty"),
        ("\n", 0o400, "is empty"),
        (SECRET, 0o404, "can be read or written by every user of this machine; run: chmod o-rw"),
        (SECRET, 0o602, "can be read or written by every user"),
        (SECRET + "\nmore\n", 0o400, "holds more than one line"),
        (SECRET + "\x00", 0o400, "holds more than one line"),
        (SECRET * 2000, 0o400, "is far too large"),
    ],
)
def test_a_file_that_holds_no_private_secret_is_refused(content: str, mode: int, message: str, tmp_path: Path) -> None:
    path = keep(tmp_path / "key", content, mode)
    assert message in refused(Reference("file", str(path)))


def test_a_file_that_is_no_text_is_refused_and_leaves_its_bytes_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET.encode() + b"\xff")
    path.chmod(0o400)
    assert "holds a character that is not ASCII" in refused(Reference("file", str(path)))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is not a plain file" in refused(Reference("file", str(tmp_path / "pipe")))


def test_a_world_readable_secret_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    keep(tmp_path / "key", mode=0o644)
    told = problems(write(tmp_path / "rotator.toml", {"accounts.acme.secret_key": "file:key"}))
    assert re.search(r"can be read .* chmod o-rw .*/key$", told["accounts.acme.secret_key"])


def test_without_a_credentials_directory_a_shell_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    message = refused(Reference.parse("credential:surely-not-there"))
    assert "$CREDENTIALS_DIRECTORY is not set; set it to the folder that holds it" in message


@pytest.fixture
def decrypting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of systemd-creds that turns letters around, and the folder of what it can read."""
    script = tmp_path / "systemd-creds"
    script.write_text('#!/bin/sh\n[ "$1 $2 $4" = "decrypt --name=secret -" ] || exit 1\nexec rev "$3"\n')
    script.chmod(0o700)
    folder = tmp_path / "encrypted"
    folder.mkdir()
    monkeypatch.setattr("rotator.config.secret_reference.DECRYPT", (str(script), "decrypt"))
    monkeypatch.setattr("rotator.config.secret_reference.ENCRYPTED_FOLDER", folder)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return folder


def test_root_reads_an_encrypted_credential_when_the_service_does_not_run(decrypting: Path) -> None:
    (decrypting / "secret").write_text(SECRET[::-1] + "\n")
    assert Reference.parse("credential:secret").resolve() == Secret(SECRET)


def test_a_credential_that_cannot_be_decrypted_is_said_without_what_the_tool_said(decrypting: Path) -> None:
    (decrypting / "other").write_text(SECRET)
    assert "cannot be decrypted; it belongs to another machine" in refused(Reference.parse("credential:other"))
    (decrypting / "secret").touch()
    assert "has no secret" in refused(Reference.parse("credential:secret"))


def test_a_service_is_given_its_credentials_and_decrypts_none(
    decrypting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (decrypting / "secret").write_text(SECRET[::-1])
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(decrypting / "nowhere"))
    assert refused(Reference.parse("credential:secret")).endswith(
        "is not in $CREDENTIALS_DIRECTORY; add it to the unit with LoadCredential= or LoadCredentialEncrypted="
    )


def test_a_secret_in_vault_is_read_by_whoever_can_read_vault() -> None:
    asked = []

    def read(path: str, field: str) -> Secret:
        asked.append((path, field))
        return Secret(SECRET)

    reference = Reference.parse("vault:secret/admin/scaleway#key")
    reference.check()
    assert reference.resolve(read) == Secret(SECRET)
    assert asked == [("secret/admin/scaleway", "key")]
    assert "cannot be read before Vault is" in refused(reference)


def test_a_configuration_can_be_read_twice_in_one_process_which_a_reload_does(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            rotator.config.load(tmp_path / "none.toml")


def test_a11_a_grace_shorter_than_the_consumers_refresh_is_an_error(tmp_path: Path) -> None:
    small = Path(__file__).parents[2] / "config" / "rotator.small.toml"
    text = (
        small.read_text()
        .replace("example.com", "acme.test")
        .replace('grace          = "24h"', 'grace = "2m"\nconsumer_refresh = "5m"')
    )
    assert 'consumer_refresh = "5m"' in text
    file = tmp_path / "rotator.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert any(
        problem.path.startswith("applications.billing") and "consumer_refresh" in str(problem)
        for problem in caught.value.problems
    )


def test_an_empty_credential_is_one_whose_file_systemd_did_not_find(credentials: Path) -> None:
    (credentials / "vault-token").touch(mode=0o600)
    (credentials / "vault-token").write_text("\n")
    message = refused(Reference.parse("credential:vault-token"))
    assert "systemd-creds encrypt --name=vault-token - /etc/rotator/credentials/vault-token" in message
    assert "restart" in message


def test_root_reads_the_encrypted_credential_that_the_running_service_does_not_have_yet(
    decrypting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (decrypting / "secret").write_text(SECRET[::-1] + "\n")
    running = tmp_path / "running"
    running.mkdir()
    (running / "secret").touch(mode=0o600)
    (running / "secret").write_text("\n")
    monkeypatch.setattr("rotator.config.secret_reference.CREDENTIAL_FOLDERS", (str(running),))
    assert Reference.parse("credential:secret").resolve() == Secret(SECRET)


# --- for some applications, and on a machine without the secrets (row 32)

BROKEN = {
    "an option of another application": {"applications.reports.grace": "nonsense"},
    "the times of another application": {"applications.reports.every": "1h"},
    "another application without a path": {"applications.reports.path": GONE},
    "another application with a placeholder": {"applications.reports.application_id": "CHANGE-ME"},
    "another application of no account": {"applications.reports.account": "nowhere"},
    "another application that is no table": {"applications.reports": 5},
    "a bad name of another application": {"applications.Reports!": {}},
    "two others on one path": {
        "applications.extra": {"application_id": "x-1", "path": "secret/apps/reports", "every": "30d"},
    },
    "an account that it does not use": {
        "accounts.other": {"organization_id": "other", "secret_key": "credential:missing"},
        "applications.reports.account": "other",
        "defaults.account": "acme",
    },
    "the webhook": {"webhook": {"listen": "nowhere"}},
    "the heartbeat": {"heartbeat": {"url": "credential:missing"}},
    "notifications": {"notifications": {"targets": ["credential:missing"]}},
}
NEEDED = {
    "its own option": {"applications.billing.grace": "nonsense"},
    "its own account": {"accounts.acme.secret_key": "credential:missing"},
    "Vault": {"vault.address": "nonsense"},
    "what it inherits": {"defaults.grace": "nonsense"},
    "another one on its path": {"applications.reports.path": "secret/apps/billing"},
    "another one with its bearer": {"applications.reports.application_id": "b-1"},
    "the key of its account": {"accounts.acme.own_key": OWN_KEY | {"grace": "91d"}},
    "another one on the path of the key of its account": {
        "accounts.acme.own_key": OWN_KEY | {"path": "secret/apps/reports"}
    },
    "another one with the bearer of the key of its account": {
        "accounts.acme.own_key": OWN_KEY | {"application_id": "r-1"}
    },
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_elsewhere_does_not_stop_the_work_on_one_application(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    file = write(tmp_path / "rotator.toml", changes)
    told = problems(file)
    found = load(file, only=("billing",))
    assert "billing" in found.specs
    assert {problem.path: problem.message for problem in found.set_aside} == told
    # An application that was left out is not one that left the configuration.
    assert found.specs.keys() | found.left_out >= {"billing", "reports"}
    assert set(found.accounts) == {spec.account for spec in found.specs.values()}


@pytest.mark.parametrize("changes", NEEDED.values(), ids=NEEDED)
def test_what_the_work_on_an_application_needs_has_to_be_sound(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        load(write(tmp_path / "rotator.toml", changes), only=("billing",))


@pytest.mark.parametrize("name", ["SCWAAAAAAAAAAAAAAAAA", "removed"])
def test_a_name_that_is_not_in_the_configuration_needs_all_of_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        load(write(tmp_path / "rotator.toml", {"applications.reports.grace": "nonsense"}), only=("billing", name))


def test_without_credentials_no_file_is_looked_at_and_everything_else_is(tmp_path: Path) -> None:
    absent = {
        "accounts.acme.secret_key": "credential:missing",
        "accounts.acme.ca_cert": "missing.pem",
        "vault.auth": {"method": "cert", "certificate": "file:missing.pem", "key": "credential:missing"},
        "heartbeat": {"url": "credential:missing"},
    }
    file = write(tmp_path / "rotator.toml", absent)
    assert len(problems(file)) == 5
    assert set(load(file, credentials=False).specs) == {"billing", "reports"}
    with pytest.raises(ConfigurationError) as caught:
        load(write(file, absent | {"defaults.grace": "nonsense"}), credentials=False)
    assert [problem.path for problem in caught.value.problems] == ["defaults.grace"]


PLACEHOLDERS = {
    "an address": ("vault.address", "https://vault.example.com:8200"),
    "a domain for documents": ("accounts.acme.api_url", "https://api.example"),
    "an identifier of zeros": ("accounts.acme.organization_id", "00000000-0000-0000-0000-000000000000"),
    "an identifier of ones": ("applications.billing.application_id", "11111111-1111-4111-8111-111111111111"),
    "a word": ("applications.billing.application_id", "CHANGE-ME"),
    "an access key": ("accounts.acme.access_key", "SCWXXXXXXXXXXXXXXXXX"),
    "dots": ("defaults.default_project_id", "…"),
}


@pytest.mark.parametrize(("option", "value"), PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_a_placeholder_of_an_example_is_refused_by_name(tmp_path: Path, option: str, value: str) -> None:
    told = problems(write(tmp_path / "rotator.toml", {option: value}))
    assert told == {option: "is a placeholder of an example; write the value of this installation"}


def test_a_secret_that_is_a_placeholder_is_refused_by_name(tmp_path: Path, credentials: Path) -> None:
    keep(credentials / "template", "CHANGE-ME\n")
    told = problems(write(tmp_path / "rotator.toml", {"accounts.acme.secret_key": "credential:template"}))
    assert "holds a placeholder of an example" in told["accounts.acme.secret_key"]
