"""Combines the options of an application: defaults, checks across options and applications, and the
spec."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rotator.config import option_types, schema
from rotator.config.problems import Problems, dotted
from rotator.domain import document
from rotator.domain import spec as model
from rotator.domain.due_time import next_cron
from rotator.util.durations import format_duration
from rotator.util.suggestions import closest_match

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from rotator.config.settings import Account, Daemon

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
"""The form of names of applications and accounts, which become parts of paths, markers and
metrics."""

_GRACE = timedelta(hours=24)
_REFRESH = timedelta(minutes=5)
_TAKEOVER = timedelta(minutes=10)


def own_key_name(account: str) -> str:
    """The name of the application that rotates the management key of an account."""
    return f"{account}-own-key"


def build(
    applications: Mapping[str, dict[str, Any]],
    defaults: dict[str, Any],
    accounts: Mapping[str, Account | None],
    users: Mapping[str, AbstractSet[str]],
    ledger: object,
    daemon: Daemon | None,
    problems: Problems,
) -> dict[str, model.ApplicationSpec]:
    """The specs of all applications without problems. ``applications`` and ``defaults`` contain
    valid options only; ``users``: the applications of each account."""
    paths: dict[str, _Application] = {}
    bearers: dict[tuple[str, ...], _Application] = {}
    specs = {}
    for name, options in applications.items():
        own = next((account for account in accounts if own_key_name(account) == name), None)
        where = ("accounts", own, "own_key") if own and options.get("account") == own else ("applications", name)
        one = _Application(name, where, users.get(own or "", {name}), options, defaults, problems)
        with problems.concerning(one.concerned):
            account = one.account(accounts)
            one.check_path(ledger, paths)
            one.check_bearer(account, bearers)
            one.check_times()
        if daemon and account and "application_id" in options and "path" in options:
            specs[name] = one.spec(account, daemon)
    return specs


@dataclass
class _Application:
    """One application while it is checked: its own options and those of [defaults]. ``concerned``:
    the applications that its problems block; all of the account if it is the account's key."""

    name: str
    where: tuple[str, ...]
    concerned: AbstractSet[str]
    own: dict[str, Any]
    defaults: dict[str, Any]
    problems: Problems

    def __post_init__(self) -> None:
        # An application with one of the two schedules does not inherit the other.
        inherited = dict(self.defaults)
        if "every" in self.own or "cron" in self.own:
            inherited.pop("every", None)
            inherited.pop("cron", None)
        self.set = inherited | self.own
        for verification in ("verification", "emergency_verification"):
            if verification in self.own and verification in self.defaults:
                self.set[verification] = self.defaults[verification].model_copy(
                    update=self.own[verification].model_dump(exclude_unset=True)
                )
        self.all = {
            name: self.set.get(name, field.default) for name, field in schema.DefaultsTable.model_fields.items()
        }
        self._compute()

    def _compute(self) -> None:
        """Computes the defaults that depend on other options."""
        options = self.all
        interval = self.interval = options["every"] or (_cron_interval(options["cron"]) if options["cron"] else None)
        if options["jitter"] is None:
            options["jitter"] = options["every"] / 10 if options["every"] else timedelta(0)
        if options["grace"] is None:
            options["grace"] = min(_GRACE, interval) if interval else _GRACE
        if options["consumer_refresh"] is None:
            options["consumer_refresh"] = min(_REFRESH, options["grace"])
        if options["stale_claim_timeout"] is None:
            options["stale_claim_timeout"] = max(_TAKEOVER, self.longest_rotation() + timedelta(minutes=1))
        if options["fields"] is None:
            options["fields"] = document.DEFAULT_FIELDS

    def longest_rotation(self) -> timedelta:
        """The longest time between claim and publication: the slower of the two verifications, then
        the publication."""
        timeouts = (self.all["verification"].timeout, self.all["emergency_verification"].timeout)
        result: timedelta = max(timeouts) + self.all["publish_timeout"]
        return result

    def add_problem(self, message: str, *names: str) -> None:
        """Adds a problem of these options together, at the first one that is set here, or else in
        [defaults]."""
        for options, where in ((self.own, self.where), (self.defaults, ("defaults",))):
            for name in names:
                if name in options:
                    self.problems.add(dotted(*where, name), message)
                    return
        self.problems.add(dotted(*self.where, names[0]), message)

    # --- across applications ----------------------------------------------------------------------

    def account(self, accounts: Mapping[str, Account | None]) -> Account | None:
        """The account of the application, if it is certain."""
        name = self.all["account"]
        if name is None and len(accounts) > 1:
            self.add_problem(f"is missing: there are several; write one of: {', '.join(sorted(accounts))}", "account")
        elif name is None:
            return next(iter(accounts.values()), None)
        elif name not in accounts:
            self.add_problem(f"is not one of [accounts]; {closest_match(name, accounts)}", "account")
        return accounts.get(name) if name else None

    def check_path(self, ledger: object, taken: dict[str, _Application]) -> None:
        """Checks that no other application has the path, and that it is not below the ledgers."""
        path = self.own.get("path")
        if path is None:
            return
        if path in taken:
            with self.problems.concerning(self.concerned | taken[path].concerned):
                self.add_problem(f"is also the path of application {taken[path].name}; give each its own", "path")
        taken.setdefault(path, self)
        if isinstance(ledger, str) and (path + "/").startswith(ledger + "/"):
            self.add_problem("is inside of vault.ledger_path, which only rotator uses; write another path", "path")

    def check_bearer(self, account: Account | None, taken: dict[tuple[str, ...], _Application]) -> None:
        """Checks that no other application has the bearer: the owner of a key would be
        ambiguous."""
        if account is None or "application_id" not in self.own:
            return
        bearer = (account.provider, account.organization_id, self.own["application_id"])
        if bearer in taken:
            with self.problems.concerning(self.concerned | taken[bearer].concerned):
                self.add_problem(
                    f"is also the bearer of application {taken[bearer].name}; give each its own IAM application, or "
                    "merge the two",
                    "application_id",
                )
        taken.setdefault(bearer, self)

    # --- times that must fit together -------------------------------------------------------------

    def check_times(self) -> None:
        """Checks every rule about two or more durations."""
        options, interval = self.all, self.interval
        for table in (self.own, self.defaults):
            if "every" in table and "cron" in table:
                where = self.where if table is self.own else ("defaults",)
                self.problems.add(dotted(*where, "cron"), "stands beside every; write only one of the two")
        if interval:
            self._check_interval(interval)
        if options["grace"] < options["consumer_refresh"]:
            self.add_problem(
                f"{_text(options['grace'])} is shorter than consumer_refresh ({_text(options['consumer_refresh'])}), "
                "so consumers would hold a revoked key; write a longer grace, or a shorter consumer_refresh if they "
                "read Vault more often",
                "grace",
                "consumer_refresh",
            )
        if options["stale_claim_timeout"] <= self.longest_rotation():
            self.add_problem(
                "must be above the timeout of the proofs and publish_timeout together; write more than "
                f"{_text(self.longest_rotation())}",
                "stale_claim_timeout",
                "publish_timeout",
                "verification",
                "emergency_verification",
            )
        for name in ("verification", "emergency_verification"):
            verification = options[name]
            if verification.interval * (verification.successes - 1) >= verification.timeout:
                self.add_problem(
                    f"cannot succeed: {verification.successes} answers {_text(verification.interval)} apart take "
                    f"longer than its timeout ({_text(verification.timeout)}); write a longer timeout",
                    name,
                )

    def _check_interval(self, interval: timedelta) -> None:
        options = self.all
        schedule = f"the interval ({_text(interval)})"
        if options["grace"] > interval:
            self.add_problem(
                f"{_text(options['grace'])} is longer than {schedule}, so old keys would pile up; write a shorter "
                "grace or a longer interval",
                "grace",
                "every",
                "cron",
            )
        if options["jitter"] >= interval:
            self.add_problem(f"must be shorter than {schedule}; write a tenth of it", "jitter", "every", "cron")
        if options["max_age"] is not None and options["max_age"] < interval:
            self.add_problem(
                f"is shorter than {schedule}, which would never be waited for; write at least {_text(interval)}",
                "max_age",
                "every",
                "cron",
            )
        if options["lifetime"] is not None:
            enough = max(interval + options["grace"], interval / 9 * 10)
            if options["lifetime"] < enough:
                self.add_problem(
                    f"is too short: a key has to live for {schedule} and then its grace; write at least "
                    f"{_text(enough)}",
                    "lifetime",
                    "every",
                    "cron",
                    "grace",
                )

    # --- the result -------------------------------------------------------------------------------

    def spec(self, account: Account, daemon: Daemon) -> model.ApplicationSpec:
        """The resulting spec."""
        same = (
            "every",
            "cron",
            "timezone",
            "grace",
            "jitter",
            "max_age",
            "lifetime",
            "default_project_id",
            "purpose",
            "fields",
        )
        more = ("resync_interval", "publish_timeout", "stale_claim_timeout", "max_live_keys")
        return model.ApplicationSpec(
            application=self.name,
            account=account.name,
            bearer=self.own["application_id"],
            path=self.own["path"],
            verification=_proof(self.all["verification"]),
            emergency_verification=_proof(self.all["emergency_verification"]),
            window=_window(self.all["window"]),
            organization_id=account.organization_id,
            max_clock_skew=daemon.max_clock_skew,
            startup_spread=daemon.startup_spread,
            **{name: self.all[name] for name in (*same, *more)},
        )


def _text(duration: timedelta) -> str:
    return format_duration(duration, units=5)


def _proof(table: schema.VerificationTable | schema.EmergencyVerificationTable) -> model.VerificationPolicy:
    return model.VerificationPolicy(successes=table.successes, interval=table.interval, timeout=table.timeout)


def _window(table: schema.WindowTable | None) -> model.MaintenanceWindow | None:
    if table is None:
        return None
    days = frozenset(
        number for number, name in enumerate(option_types.DAYS) for day in table.days if name.startswith(day.lower())
    )
    start, end = (int(hour) * 60 + int(minute) for hour, minute in (time.split(":") for time in table.hours.split("-")))
    return model.MaintenanceWindow(days=days, start=start, end=end)


@lru_cache
def _cron_interval(expression: str) -> timedelta:
    """The shortest interval between the next occurrences, in UTC, so that changes of clocks do not
    count."""
    moment = next_cron(expression, datetime(2025, 1, 1, tzinfo=UTC), "UTC")
    gaps = []
    for _ in range(20):
        following = next_cron(expression, moment, "UTC")
        gaps.append(following - moment)
        moment = following
    return min(gaps)
