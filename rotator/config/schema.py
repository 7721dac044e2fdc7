"""The schema of the configuration file: every option with type, default and description.

Each class is one table. The descriptions are the text of docs/configuration.md and of messages
about missing options; a test compares them. A default of None with a ``computed`` text depends on
other options.
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
    """One option with its description, and its default or how that is computed."""
    return Field(default, description=text, json_schema_extra={"computed": computed} if computed else None, **limits)


class Table(BaseModel):
    """A table of options. Unknown options are errors, and values are not converted."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        validate_assignment=True,  # the valid options of a table with invalid ones are checked one by one
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
    timeout: Duration = option("Time limit of one call as a whole.", timedelta(seconds=15))
    proxy: Url | None = option("The HTTP proxy to use. The environment's is never used.", None)
    allow_http: bool = option(
        "Allow plain HTTP to a remote address. Secrets then cross the network unencrypted.",
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
        "The access key of that key. It is never revoked, and coverage distinguishes it from unmanaged keys.", None
    )
    own_key: OwnKeyTable | None = option(
        "How that key is itself rotated: the table below.", None, computed="replaced by an operator"
    )
    api_url: Url = option("The address of the provider's API.", "https://api.scaleway.com")
    ca_cert: File | None = option("A file of certificates, in PEM, to trust instead of the system's.", None)
    timeout: Duration = option("Time limit of one call as a whole.", timedelta(seconds=20))
    rate_limit: float = option("Maximum of calls per second.", 50.0, gt=0, le=10_000)
    proxy: Url | None = option("The HTTP proxy to use. The environment's is never used.", None)
    allow_http: bool = option(
        "Allow plain HTTP to a remote address. Secrets then cross the network unencrypted.",
        default=False,
    )


class WindowTable(Table):
    """`window`: when scheduled rotations may begin, in the application's time zone."""

    days: WeekDays = option("The days on which the window opens.", [day[:3] for day in DAYS])
    hours: Hours = option("From and to. An end not after the start is on the next day.", "00:00-24:00")


class VerificationTable(Table):
    """`verification`: how a new key is verified as valid, and an old one as revoked."""

    model_config = ConfigDict(frozen=True)  # then pydantic need not copy the default for every application

    successes: int = option("Consecutive answers that are required.", 3, ge=1, le=100)
    interval: Short = option("Interval between them.", timedelta(seconds=10))
    timeout: Duration = option("Time limit.", timedelta(minutes=5))


class EmergencyVerificationTable(Table):
    """`emergency_verification`: the same for a compromised key."""

    model_config = ConfigDict(frozen=True)

    successes: int = option("Consecutive answers that are required.", 2, ge=1, le=100)
    interval: Short = option("Interval between them.", timedelta(milliseconds=500))
    timeout: Duration = option("Time limit.", timedelta(minutes=1))


class DefaultsTable(Table):
    """`[defaults]`: options of every application that does not set them itself."""

    account: Token | None = option("The account that the keys belong to.", None, computed="the only account")
    default_project_id: Token | None = option(
        "The project that new keys prefer.", None, computed="carried over from the current key"
    )
    purpose: Purpose | None = option(
        f"What new keys are for, in their descriptions at the provider: at most {MAX_PURPOSE} letters.",
        None,
        computed="carried over from the key that is taken over or replaced",
    )
    every: Duration | None = option("How long a key is used until the next replaces it, from its creation.", None)
    cron: Cron | None = option("When to rotate, as five cron fields, instead of `every`.", None)
    timezone: Zone = option("The time zone of `cron` and `window`.", "UTC")
    window: WindowTable | None = option("When scheduled rotations may begin: the table below.", None, computed="always")
    jitter: Pause | None = option(
        "Random shift of rotations: at most this much earlier than `every`, or later than `cron`.",
        None,
        computed="a tenth of `every`, none for `cron`",
    )
    max_age: Duration | None = option("The age at which a key is replaced even outside of the window.", None)
    lifetime: Duration | None = option(
        "Lifetime of new keys, after which they expire at the provider.", None, computed="never"
    )
    grace: Duration | None = option(
        "How long an old key stays valid after a new one is published.",
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
        "How often an application is reconciled when nothing is due.", timedelta(minutes=15)
    )
    publish_timeout: Duration = option(
        "How long a verified key waits in memory for Vault to recover.", timedelta(minutes=2)
    )
    stale_claim_timeout: Duration | None = option(
        "Age at which an unfinished rotation of another process is taken over.",
        None,
        computed="`10m`, or a minute more than the timeout of a verification and `publish_timeout` together if that is "
        "longer",
    )
    max_live_keys: int = option(
        "Maximum of valid keys of one application; beyond it, `rotate` refuses.", 5, ge=2, le=1000
    )
    fields: Fields | None = option(
        "The fields of the credential document, and what is in them.",
        None,
        computed="each of the placeholders under its own name",
    )


class ApplicationTable(DefaultsTable):
    """`[applications.NAME]`: an application whose key is rotated. All options of `[defaults]`,
    and:"""

    application_id: Token = option("The id of the IAM application that bears the key.")
    path: VaultPath = option("Where consumers read the key: the mount of a KV version 2 engine, then a path.")


class OwnKeyTable(ApplicationTable):
    """`[accounts.NAME.own_key]`: the management key of the account as an application named
    `NAME-own-key`. All options of `[applications.NAME]` except `account` and `fields`."""


class DaemonTable(Table):
    """`[daemon]`: options of the process."""

    workers: int = option("How many applications of one account run passes at once.", 16, ge=1, le=512)
    shutdown_timeout: Duration = option(
        "How long a stopping daemon may take to finish its current step.", timedelta(seconds=30)
    )
    max_clock_skew: Duration = option("How far clocks may differ before revocations wait.", timedelta(seconds=30))
    startup_spread: Pause = option(
        "Over how long late rotations are spread; at most a tenth of the interval.", timedelta(hours=1)
    )
    share_looks: bool = option(
        "Whether several daemons of one installation share the reconciling of applications for which nothing is due.",
        default=False,
    )


class MetricsTable(Table):
    """`[metrics]`: the address of the metrics and health checks."""

    listen: ListenAt | None = option(
        "Where to answer `/metrics`, `/healthz` and `/readyz`: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`.",
        None,
        computed="nowhere",
    )
    allow_remote: bool = option(
        "Allow an address that other machines can reach. Readers then see the names and deadlines of all applications.",
        default=False,
    )


class ControlTable(Table):
    """`[control]`: the sockets for queries and commands."""

    enabled: bool | None = option(
        "Whether the sockets are opened.",
        None,
        computed="`true` if this table exists, or systemd provides a runtime directory",
    )
    directory: File | None = option(
        "The directory of `read.sock` and `control.sock`; it must exist.",
        None,
        computed="`$RUNTIME_DIRECTORY`, else `/run/rotator`",
    )
    read_group: Token | None = option(
        "The group whose members may query; they see the names, keys and deadlines of all applications.",
        None,
        computed="the daemon's own",
    )
    control_group: Token | None = option(
        "The group whose members may query and give commands: rotate, revoke, reload.",
        None,
        computed="the daemon's own",
    )


class WebhookTable(Table):
    """`[webhook]`: the address at which external systems report keys that they found."""

    listen: ListenAt | None = option("Where to listen: `ADDRESS:PORT` or `[ADDRESS]:PORT`.", None, computed="nowhere")
    signing_key: SecretReference | None = option("A reference to the key that callers sign with (HMAC-SHA256).", None)
    token: SecretReference | None = option("A reference to the bearer token of callers.", None)
    client_ca: File | None = option("A file of certificates, in PEM, one of which must have signed the caller's.", None)
    certificate: SecretReference | None = option(
        "TLS: `file:` or `credential:` of the webhook's certificate, in PEM.", None
    )
    key: SecretReference | None = option("TLS: `file:` or `credential:` of its private key, in PEM.", None)
    rate_limit: int = option("Maximum of reports per minute.", 6, ge=1, le=600)


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
    """`[notifications]`: messages about problems that need a person."""

    name: Token = option("The name of this installation in messages.", "rotator")
    targets: SecretReferences | None = option("References to addresses of services, as Apprise writes them.", None)
    allow_http: bool = option("Allow remote targets without TLS.", default=False)
    min_interval: Duration = option(
        "Minimum time between two messages; what happens meanwhile is in the next.", timedelta(minutes=5)
    )
    deadline_warning: Duration = option(
        "How long before its hard deadline a key that cannot be replaced is reported.", timedelta(days=3)
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
"""Tables that occur once."""

NAMED: dict[str, type[Table]] = {"accounts": AccountTable, "applications": ApplicationTable}
"""Tables of tables."""
