"""The runtime: everything that one configuration describes. Building it contacts nothing, and
nothing in it changes afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator import providers, vault
from rotator.app.adapter_settings import (
    ReferenceSupplier,
    connections_for,
    notification_settings,
    required,
    vault_settings,
)
from rotator.config import Account, Configuration, Control, Listener, Webhook
from rotator.decision.ownership import removed_application
from rotator.domain.facts import Facts
from rotator.domain.ledger import Ledger
from rotator.domain.login import LoginProblem
from rotator.domain.ports import EventSink, PresenceStore, Provider, RequestObserver
from rotator.domain.secret import Secret, to_displayable
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationError, ConfigurationProblem, RotatorError, ServiceError
from rotator.http import ResponseObserver
from rotator.observability.notifications import NotificationSettings
from rotator.providers.management_key import FixedKeyName, KeyPair, ManagementKeyGuard, OwnKey
from rotator.reconciler.context import InvalidKeyBreaker, ReconcileContext
from rotator.reconciler.ledger_directory import LedgerDirectory
from rotator.system import process_identity as owner
from rotator.util.refusals import Refusals
from rotator.util.suggestions import closest_match
from rotator.vault import KvStore


class UnknownApplication(RotatorError):
    """A name that is not in the configuration. Secret keys in its place are masked."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(to_displayable(message))


class SystemClock:
    """The time and the random values of this machine."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def token(self) -> str:
        """16 unpredictable hexadecimal digits."""
        return secrets.token_hex(8)


class AppRuntime:
    """Everything that one configuration describes. ``sink`` receives the events of its passes;
    ``observe`` every call to a service: which, its outcome, its seconds. ``refusals``: the
    credentials that services rejected in this process."""

    def __init__(
        self, configuration: Configuration, sink: EventSink, observe: RequestObserver, refusals: Refusals
    ) -> None:
        self.configuration = configuration
        self.sink = sink
        self.refusals = refusals
        self._observe = observe
        self.clock = SystemClock()
        # Vault comes first: management keys of accounts may be stored in it.
        self.vault: KvStore = vault.build(
            vault_settings(configuration, sink, self._observer(vault.SERVICE), self.refusals)
        )
        self.vault.watch_paths([spec.path for spec in configuration.specs.values()])
        self._ledgers = LedgerDirectory(
            self.vault, configuration.specs, self.clock.now, left_out=configuration.left_out
        )
        self._own_keys: dict[str, OwnKey] = {}
        self._providers = {
            name: self._build(account, connections_for(configuration))
            for name, account in configuration.accounts.items()
        }
        self._casualties = {name: InvalidKeyBreaker() for name in configuration.accounts}

    def close(self) -> None:
        """Closes the providers, then logs out of Vault: a provider may read its key from Vault
        until then."""
        for provider in self._providers.values():
            if callable(close := getattr(provider, "close", None)):
                close()
        self.vault.close()

    # --- what it is made of -----------------------------------------------------------------------

    @property
    def source(self) -> str:
        """Path of the configuration file."""
        return str(self.configuration.path)

    @property
    def warnings(self) -> Sequence[ConfigurationProblem]:
        """Warnings about options under their former names."""
        return self.configuration.warnings

    @property
    def set_aside(self) -> Sequence[ConfigurationProblem]:
        """Problems of applications that this runtime was not opened for."""
        return self.configuration.set_aside

    @property
    def workers(self) -> int:
        """How many applications run passes at once."""
        return self.configuration.daemon.workers

    @property
    def share_looks(self) -> bool:
        """Whether the daemon shares its looks with others of the installation."""
        return self.configuration.daemon.share_looks

    @property
    def presences(self) -> PresenceStore:
        """The presences of these daemons, in Vault."""
        return self.vault.presences

    @property
    def shutdown_timeout(self) -> timedelta:
        """How long a stopping daemon may take."""
        return self.configuration.daemon.shutdown_timeout

    @property
    def listen(self) -> Listener | None:
        """The address of the metrics server, if any."""
        return self.configuration.listen

    @property
    def control(self) -> Control | None:
        """The control sockets, if any."""
        return self.configuration.control

    @property
    def webhook(self) -> Webhook | None:
        """The webhook, if any."""
        return self.configuration.webhook

    @property
    def specs(self) -> Mapping[str, ApplicationSpec]:
        """The configured applications by name."""
        return self.configuration.specs

    @property
    def accounts(self) -> frozenset[str]:
        """The names of the configured accounts."""
        return frozenset(self.configuration.accounts)

    def account(self, name: str) -> Account:
        """The account of that name, with the access key that it logs in with now. An unknown name
        raises with the nearest one."""
        accounts = self.configuration.accounts
        if name not in accounts:
            raise UnknownApplication(f"there is no account {name} in {self.source}; {closest_match(name, accounts)}")
        key = self._own_keys.get(name)
        return replace(accounts[name], access_key=key.in_use) if key and key.in_use else accounts[name]

    @property
    def alarm(self) -> NotificationSettings:
        """The settings of notifications."""
        return notification_settings(self.configuration)

    def provider(self, account: str) -> Provider:
        """The provider of a configured account."""
        found = self._providers.get(account)
        if found is None:
            raise UnknownApplication(
                f"there is no account {account} in {self.source}: put it back, because its keys are still managed"
            )
        return found

    def spec(self, name: str) -> ApplicationSpec:
        """The application of that name. An unknown name raises with the nearest one."""
        specs = self.configuration.specs
        if name not in specs:
            raise UnknownApplication(f"there is no application {name} in {self.source}; {closest_match(name, specs)}")
        return specs[name]

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        """The context of a pass for this application."""
        return ReconcileContext(
            provider=self.provider(spec.account),
            vault=self.vault,
            clock=self.clock,
            sink=self.sink,
            owner=owner.current(),
            casualties=self._casualties[spec.account],
            is_gone=owner.is_gone,
            related=self._ledgers.related,
            manages_account=self.configuration.accounts[spec.account].own_key == spec.application,
        )

    def maintain(self) -> None:
        """Renews the login to Vault when due, and changes over to management keys that other
        processes published."""
        self.vault.maintain()
        for name, key in self._own_keys.items():
            with suppress(ServiceError):
                key.refresh(self._providers[name].authenticate)

    def login_life(self) -> tuple[timedelta, timedelta] | None:
        """How long the login to Vault is still valid, and for how long it was granted; None if it
        does not end."""
        return self.vault.login_life()

    def login_problem(self) -> LoginProblem | None:
        """What will stop the work when the Vault token ends; None if no problem is known."""
        return self.vault.login_problem()

    def facts(self) -> Facts:
        """The facts that `rotator doctor` reports on."""
        from rotator.setup.doctor_facts import collect  # noqa: PLC0415 - one command needs it

        return collect(
            self.configuration,
            self.vault,
            self.provider,
            lambda name: self.account(name).access_key or "",
            self.clock.now,
        )

    def removed_applications(self, sink: EventSink | None = None) -> dict[str, ApplicationSpec]:
        """The applications that have a ledger and are not configured, from their ledgers. Calls
        Vault.

        A ledger that cannot be read is left out and hides no other; ``sink`` (default: that of this
        runtime) receives an event for it. A ledger that was taken over is left out too.
        """

        def unreadable(name: str, error: Exception) -> None:
            (sink or self.sink).emit("daemon.removed_application_stuck", application=name, message=str(error))

        return {name: self._removed_application(ledger) for name, ledger in self._ledgers.removed(unreadable).items()}

    def _removed_application(self, ledger: Ledger) -> ApplicationSpec:
        account = self.configuration.accounts.get(ledger.account)
        return removed_application(
            ledger,
            self.configuration.specs.values(),
            organization_id=account.organization_id if account else "",
            max_clock_skew=self.configuration.daemon.max_clock_skew,
        )

    # --- how it is made ---------------------------------------------------------------------------

    def _build(self, account: Account, connections: int) -> Provider:
        first = ReferenceSupplier(account.secret_key, self.vault.read_field) if account.secret_key else None
        own_key = self._own_key(account, first) if account.own_key else None
        settings = providers.AccountSettings(
            name=account.name,
            provider=account.provider,
            organization_id=account.organization_id,
            secret_key=own_key or required(account.secret_key, self.vault.read_field),
            current_secret=own_key.current if own_key else lambda: None,
            api_url=account.api_url,
            timeout=account.timeout,
            rate_limit=account.rate_limit,
            proxy=account.proxy,
            ca_cert=account.ca_cert,
            connections=connections,
            observe=self._observer(account.name),
        )
        try:
            provider = providers.load(account.provider)(settings, clock=self.clock)
            key = own_key or (FixedKeyName(account.access_key) if account.access_key else None)
            return ManagementKeyGuard(provider, key) if key else provider
        except ConfigurationError as error:
            raise _at(error, self.source, f"accounts.{account.name}") from None

    def _own_key(self, account: Account, first: Callable[[], Secret] | None) -> OwnKey:
        """The management key of an account whose own key is rotated, as its application publishes
        it."""
        spec = self.configuration.specs[account.own_key]

        def read() -> KeyPair | None:
            document = self.vault.read_document(*spec.location)
            return KeyPair(document.access_key, document.secret) if document.access_key and document.secret else None

        self._own_keys[account.name] = key = OwnKey(read, initial=first, initial_name=account.access_key or "")
        return key

    def _observer(self, service: str) -> ResponseObserver:
        """The observer of the calls to one service."""
        return lambda outcome, seconds: self._observe(service, outcome, seconds)


def _at(error: ConfigurationError, source: str, path: str) -> ConfigurationError:
    """The same problems with their place in the configuration file."""
    return ConfigurationError(
        [
            ConfigurationProblem(source, ".".join(filter(None, (path, problem.path or problem.file))), problem.message)
            for problem in error.problems
        ]
    )
