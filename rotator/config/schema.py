"""The schema of the configuration file: every option with its type, its default and its meaning.

Each class is one table. The descriptions are the text of docs/configuration.md and of the messages
about missing options; a test holds the three together. A default of None with a ``computed`` text
depends on other options.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rotator.config.option_types import (
    DAYS,
    Cron,
    Duration,
    Fields,
    File,
    Hours,
    ListenAt,
    Pause,
    Purpose,
    SecretReference,
    SecretReferences,
    Short,
    Token,
    Url,
    VaultPath,
    WeekDays,
    Zone,
)
from rotator.domain.marker import MAX_PURPOSE


def option(text: str, default: Any = ..., *, computed: str = "", **limits: Any) -> Any:
    """One option: what it means, and its default or how that is computed."""
    return Field(default, description=text, json_schema_extra={"computed": computed} if computed else None, **limits)


class Table(BaseModel):
    """A table of options. Unknown ones are errors, and nothing is converted silently."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        validate_assignment=True,  # the good options of a table are looked at one by one when there are bad ones
        hide_input_in_errors=True,
    )


class OwnSecretIdTable(Table):
    """`own_secret_id`: how the secret id of the `approle` login is itself rotated."""

    role: Token = option("The name of the role at Vault, below `auth/MOUNT/role`.")
    every: Duration = option("How long a secret id is used until the next replaces it.", timedelta(days=30))
    grace: Duration = option("How long a replaced secret id stays valid.", timedelta(days=1))
    file: File = option(
        "The file that keeps the secret ids, in a folder that only the user of the service may write.",
        Path("/var/lib/rotator-login/secret-id"),
    )


class AuthTable(Table):
    """`[vault] auth`: how to log in to Vault."""

    method: Literal["approle", "cert", "jwt", "token"] = option("How to log in: `approle`, `cert`, `jwt` or `token`.")
    mount: Token | None = option("Where the method is mounted.", None, computed="the name of the method")
    role_id: SecretReference | None = option("`approle`: a reference to the role id.", None)
    secret_id: SecretReference | None = option(
        "`approle`: a reference to the secret id, unless the role binds none.", None
    )
    certificate: SecretReference | None = option(
        "`cert`: `file:` or `credential:` of the client certificate, in PEM.", None
    )
    key: SecretReference | None = option("`cert`: `file:` or `credential:` of the private key, in PEM.", None)
    jwt: SecretReference | None = option("`jwt`: a reference to the token, read afresh for every login.", None)
    token: SecretReference | None = option("`token`: a reference to a Vault token.", None)
    role: Token | None = option("`jwt`: the role to log in as. `cert`: the role, where several could match.", None)
    own_secret_id: OwnSecretIdTable | None = option(
        "`approle`: how the secret id is itself rotated: the table below.", None, computed="replaced by an operator"
    )


class VaultTable(Table):
    """`[vault]`: where Vault or OpenBao is."""

    address: Url = option("The address of Vault or OpenBao, such as `https://vault.example.com:8200`.")
    auth: AuthTable = option("How to log in: the table below.")
    ledger_path: VaultPath = option(
        "Where the ledgers are: the mount of a KV version 2 engine, then a prefix that only rotator uses."
    )
    namespace: Token | None = option("The namespace of everything, where Vault has namespaces.", None)
    ca_cert: File | None = option("A file of certificates, in PEM, to trust instead of the system's.", None)
    timeout: Duration = option("The longest that one call may take, all in all.", timedelta(seconds=15))
    proxy: Url | None = option("The HTTP proxy to go through. The environment's is never used.", None)
    allow_http: bool = option(
        "Allow an address without TLS that is not of this machine: secrets then cross the network unencrypted.",
        default=False,
    )


class AccountTable(Table):
    """`[accounts.NAME]`: an organisation at a provider."""

    provider: Token = option("The kind of provider.", "scaleway")
    organization_id: Token = option("The id of the organisation.")
    secret_key: SecretReference | None = option(
        "A reference to the secret key that manages the organisation's keys; with `own_key`, the one of the first "
        "login.",
        None,
    )
    access_key: Token | None = option(
        "The public name of that key. It is never revoked, and a coverage proof can tell it from unmanaged keys.", None
    )
    own_key: OwnKeyTable | None = option(
        "How that key is itself rotated: the table below.", None, computed="replaced by an operator"
    )
    api_url: Url = option("The address of the provider's API.", "https://api.scaleway.com")
    ca_cert: File | None = option("A file of certificates, in PEM, to trust instead of the system's.", None)
    timeout: Duration = option("The longest that one call may take, all in all.", timedelta(seconds=20))
    rate_limit: float = option("The most calls in one second.", 50.0, gt=0, le=10_000)
    proxy: Url | None = option("The HTTP proxy to go through. The environment's is never used.", None)
    allow_http: bool = option(
        "Allow an address without TLS that is not of this machine: secrets then cross the network unencrypted.",
        default=False,
    )


class WindowTable(Table):
    """`window`: when scheduled rotations may begin, in the application's time zone."""

    days: WeekDays = option("The days on which the window opens.", [day[:3] for day in DAYS])
    hours: Hours = option("From and to. An end not after the start is on the next day.", "00:00-24:00")


class VerificationTable(Table):
    """`verification`: how a new key is verified as valid, and an old one as revoked."""

    model_config = ConfigDict(frozen=True)  # then pydantic need not copy the default for every application

    successes: int = option("How many answers in a row.", 3, ge=1, le=100)
    interval: Short = option("How far apart.", timedelta(seconds=10))
    timeout: Duration = option("Within how long.", timedelta(minutes=5))


class EmergencyVerificationTable(Table):
    """`emergency_verification`: the same for a compromised key."""

    model_config = ConfigDict(frozen=True)

    successes: int = option("How many answers in a row.", 2, ge=1, le=100)
    interval: Short = option("How far apart.", timedelta(milliseconds=500))
    timeout: Duration = option("Within how long.", timedelta(minutes=1))


class DefaultsTable(Table):
    """`[defaults]`: what every application says unless it says otherwise itself."""

    account: Token | None = option("The account that the keys belong to.", None, computed="the only account")
    default_project_id: Token | None = option(
        "The project that new keys prefer.", None, computed="carried over from the current key"
    )
    purpose: Purpose | None = option(
        f"What new keys are for, in their descriptions at the provider: at most {MAX_PURPOSE} letters.",
        None,
        computed="carried over from the key that is taken over or replaced",
    )
    every: Duration | None = option("How long a key lives until the next replaces it, counted from its creation.", None)
    cron: Cron | None = option("When to rotate, as five cron fields, instead of `every`.", None)
    timezone: Zone = option("The time zone of `cron` and `window`.", "UTC")
    window: WindowTable | None = option("When scheduled rotations may begin: the table below.", None, computed="always")
    jitter: Pause | None = option(
        "How far rotations are spread: up to so much earlier than `every`, or later than `cron`.",
        None,
        computed="a tenth of `every`, none for `cron`",
    )
    max_age: Duration | None = option("The age at which a key is replaced even outside of the window.", None)
    lifetime: Duration | None = option(
        "After how long new keys expire at the provider by themselves.", None, computed="never"
    )
    grace: Duration | None = option(
        "How long an old key lives on after a new one is published.",
        None,
        computed="`24h`, or the interval where that is shorter",
    )
    consumer_refresh: Duration | None = option(
        "How often consumers read Vault; a shorter `grace` is an error.",
        None,
        computed="`5m`, or `grace` where that is shorter",
    )
    verification: VerificationTable = option(
        "How a new key is verified as valid, and an old one as revoked: the table below.", VerificationTable()
    )
    emergency_verification: EmergencyVerificationTable = option(
        "The same for a compromised key: the table below.", EmergencyVerificationTable()
    )
    resync_interval: Duration = option(
        "How often an application is looked at when nothing is due.", timedelta(minutes=15)
    )
    publish_timeout: Duration = option(
        "How long a proven key waits in memory for Vault to come back.", timedelta(minutes=2)
    )
    stale_claim_timeout: Duration | None = option(
        "After how long a rotation that another process left unfinished is begun anew.",
        None,
        computed="`10m`, or a minute more than the timeout of a proof and `publish_timeout` together where that is longer",
    )
    max_live_keys: int = option("Beyond so many live keys of one application, `rotate` refuses.", 5, ge=2, le=1000)
    fields: Fields | None = option(
        "The fields of the credential document, and what is in them.",
        None,
        computed="each of the placeholders under its own name",
    )


class ApplicationTable(DefaultsTable):
    """`[applications.NAME]`: an application whose key is rotated. It may say all that `[defaults]`
    may say, and:"""

    application_id: Token = option("The id of the IAM application that bears the key.")
    path: VaultPath = option("Where consumers read the key: the mount of a KV version 2 engine, then a path.")


class OwnKeyTable(ApplicationTable):
    """`[accounts.NAME.own_key]`: the management key of the account as an application of its own,
    `NAME-own-key`. It may say all that `[applications.NAME]` may say except `account` and
    `fields`."""


class DaemonTable(Table):
    """`[daemon]`: what concerns the process."""

    workers: int = option("How many applications of one account are worked on at once.", 16, ge=1, le=512)
    shutdown_timeout: Duration = option(
        "How long a stopping daemon may take to finish the step that it is in.", timedelta(seconds=30)
    )
    max_clock_skew: Duration = option("How far clocks may differ before revocations wait.", timedelta(seconds=30))
    startup_spread: Pause = option(
        "Over how long late rotations are spread; at most a tenth of the interval.", timedelta(hours=1)
    )


class MetricsTable(Table):
    """`[metrics]`: where the daemon tells Prometheus, and whoever asks, how it is."""

    listen: ListenAt | None = option(
        "Where to answer `/metrics`, `/healthz` and `/readyz`: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`.",
        None,
        computed="nowhere",
    )
    allow_remote: bool = option(
        "Allow an address that other machines reach: its readers learn the names and deadlines of all applications.",
        default=False,
    )


class ControlTable(Table):
    """`[control]`: the sockets on which the daemon is asked and ordered."""

    enabled: bool | None = option(
        "Whether there are such sockets.",
        None,
        computed="`true` when this table is written down, or systemd gives a runtime directory",
    )
    directory: File | None = option(
        "The folder of `read.sock` and `control.sock`; it has to be there.",
        None,
        computed="`$RUNTIME_DIRECTORY`, else `/run/rotator`",
    )
    read_group: Token | None = option(
        "The group whose members may ask; they learn the names, keys and deadlines of all applications.",
        None,
        computed="the daemon's own",
    )
    control_group: Token | None = option(
        "The group whose members may ask and order: rotate, revoke, reload.", None, computed="the daemon's own"
    )


class WebhookTable(Table):
    """`[webhook]`: where machines outside report keys that they found."""

    listen: ListenAt | None = option("Where to listen: `ADDRESS:PORT` or `[ADDRESS]:PORT`.", None, computed="nowhere")
    signing_key: SecretReference | None = option("A reference to the key that callers sign with (HMAC-SHA256).", None)
    token: SecretReference | None = option("A reference to the bearer token of callers.", None)
    client_ca: File | None = option("A file of certificates, in PEM, one of which must have signed the caller's.", None)
    certificate: SecretReference | None = option(
        "TLS: `file:` or `credential:` of the webhook's certificate, in PEM.", None
    )
    key: SecretReference | None = option("TLS: `file:` or `credential:` of its private key, in PEM.", None)
    rate_limit: int = option("How many reports are taken in one minute.", 6, ge=1, le=600)


class HeartbeatTable(Table):
    """`[heartbeat]`: a request to a monitoring service while every application is healthy; its
    absence is the alert."""

    url: SecretReference | None = option(
        "A reference to the address that is requested while every application is healthy, such as one of healthchecks.",
        None,
    )
    interval: Duration = option(
        "Interval between health checks; the heartbeat is sent after each that passes.", timedelta(minutes=1)
    )
    ca_cert: File | None = option("A file of certificates, in PEM, to trust instead of the system's.", None)
    proxy: Url | None = option("The HTTP proxy to use. The environment's is never used.", None)
    allow_http: bool = option("Allow plain HTTP to a remote address.", default=False)


class NotificationsTable(Table):
    """`[notifications]`: messages about what needs a person."""

    name: Token = option("The name of this installation in messages.", "rotator")
    targets: SecretReferences | None = option("References to addresses of services, as Apprise writes them.", None)
    allow_http: bool = option("Allow targets without TLS that are not of this machine.", default=False)
    min_interval: Duration = option(
        "Minimum time between two messages; what happens meanwhile is in the next.", timedelta(minutes=5)
    )
    deadline_warning: Duration = option(
        "How long before its hard deadline a key that cannot be replaced is worth a message.", timedelta(days=3)
    )


SINGLE: dict[str, type[Table]] = {
    "vault": VaultTable,
    "defaults": DefaultsTable,
    "daemon": DaemonTable,
    "control": ControlTable,
    "webhook": WebhookTable,
    "metrics": MetricsTable,
    "heartbeat": HeartbeatTable,
    "notifications": NotificationsTable,
}
"""Tables that are there once."""

NAMED: dict[str, type[Table]] = {"accounts": AccountTable, "applications": ApplicationTable}
"""Tables of tables."""
