"""The reasons that make one rotation or one pass fail; it is repeated."""

from __future__ import annotations

from collections.abc import Mapping

from rotator.domain.reason_info import Reason, ReasonInfo, Source

_NEXT_ATTEMPT = (
    "The published key stays. rotator drops the new key, revokes it, and makes another attempt after a delay that "
    "grows."
)
_REPEATS = "rotator repeats the pass every 30 seconds and writes nothing meanwhile."
_ROTATES = "`rotation.committed` is logged, and `rotator status` shows the new key."
_ANSWERS = "`service.up` is logged, `rotator_service_up` is 1 again, and passes end with `pass.decided`."
_R, _S = Reason, Source

FAILURES: Mapping[Reason, ReasonInfo] = {
    _R.VERIFICATION_FAILED: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The new key did not authenticate within the time of `verification`, or a new management key may not read what "
        "the one in use may; the message names the right.",
        _NEXT_ATTEMPT,
        "look at the provider's status page; when it takes this long, raise verification.timeout; when a right is "
        "missing, give it to the application of the management key",
        _ROTATES,
    ),
    _R.CREATE_UNCONFIRMED: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The answer to the creation of a key was lost, so its secret is lost too.",
        "The published key stays. rotator finds the key by its tag, revokes it, and makes another attempt.",
        "nothing, unless it repeats: then look at the network between this machine and the provider",
        _ROTATES,
    ),
    _R.OVERTAKEN: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The credential document changed while a rotation was under way.",
        "rotator revokes the key that it made and follows the document.",
        "nothing, unless it repeats: then find what else writes {path}",
        _ROTATES,
    ),
    _R.DEPENDENCIES_UNAVAILABLE: ReasonInfo(
        _S.ATTEMPT,
        3,
        "Vault or the provider was away for longer than a new key may wait in memory (`publish_timeout`).",
        _NEXT_ATTEMPT,
        "bring the service back; `service.down` names it",
        _ROTATES,
    ),
    _R.VAULT_UNAVAILABLE: ReasonInfo(
        _S.ATTEMPT,
        3,
        "Vault was away for longer than a new key may wait in memory (`publish_timeout`).",
        _NEXT_ATTEMPT,
        "bring Vault back",
        _ROTATES,
    ),
    _R.PUBLISH_TIMEOUT: ReasonInfo(
        _S.ATTEMPT,
        3,
        "Vault did not take the new key within `publish_timeout`.",
        _NEXT_ATTEMPT,
        "look at the load and the storage of Vault",
        _ROTATES,
    ),
    _R.STOPPING: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The daemon was stopped before the new key was verified and published.",
        _NEXT_ATTEMPT,
        "start the daemon again",
        _ROTATES,
    ),
    _R.UNREACHABLE: ReasonInfo(
        _S.SERVICE,
        3,
        "Vault or the provider could not be reached, or the connection broke.",
        _REPEATS,
        "check the address, the network, the proxy and the certificates between this machine and the service",
        _ANSWERS,
        (
            "timeout",
            "refused",
            "dns",
            "tls",
            "connect",
            "proxy",
            "lost",
            "protocol",
            "closed",
            "request",
            "encoding",
        ),
    ),
    _R.SEALED: ReasonInfo(
        _S.SERVICE, 3, "Vault is sealed or not initialised.", _REPEATS, "unseal Vault", _ANSWERS, ("uninitialized",)
    ),
    _R.STANDBY: ReasonInfo(
        _S.SERVICE,
        3,
        "Vault has no active node, or the node that answered cannot take the call.",
        _REPEATS,
        "look at the cluster of Vault: vault operator raft list-peers",
        _ANSWERS,
        ("upgrading",),
    ),
    _R.RATE_LIMITED: ReasonInfo(
        _S.SERVICE,
        3,
        "The service limits the rate of requests, or rotator's own `rate_limit` left no turn in time.",
        _REPEATS,
        "look for another program that uses the same account; lower rate_limit, or raise the account's timeout",
        _ANSWERS,
        ("own_rate_limit",),
    ),
    _R.SERVER_ERROR: ReasonInfo(
        _S.SERVICE,
        3,
        "The service answered with an error of its own.",
        _REPEATS,
        "look at the status page or the log of the service",
        _ANSWERS,
        ("transient", "key_replaced"),
    ),
    _R.UNEXPECTED_ANSWER: ReasonInfo(
        _S.SERVICE,
        3,
        "The answer is not one that the service gives: a proxy, another server, or a newer API.",
        _REPEATS,
        "check the address of the service and what stands between it and this machine",
        _ANSWERS,
        ("unreadable", "redirected", "inconsistent_pages"),
    ),
    _R.STALE: ReasonInfo(
        _S.SERVICE,
        3,
        "The node of Vault that answered is behind its leader.",
        _REPEATS,
        "look at the replication of Vault's cluster",
        _ANSWERS,
    ),
    _R.CONTENDED: ReasonInfo(
        _S.SERVICE,
        3,
        "Other processes wrote the same document first each time.",
        _REPEATS,
        "nothing, unless it repeats: then find what else writes the ledgers",
        _ANSWERS,
        ("conflict",),
    ),
    _R.LOGIN: ReasonInfo(
        _S.SERVICE,
        1,
        "Vault or the provider rejects the credentials that rotator logs in with, or they cannot be read.",
        _REPEATS,
        "renew the credentials that [vault] auth and [accounts.{account}] name",
        _ANSWERS,
        ("credentials", "unauthenticated", "secret_key", "no_field"),
    ),
    _R.POLICY: ReasonInfo(
        _S.SERVICE,
        1,
        "The credentials of rotator do not allow the call.",
        _REPEATS,
        "give the Vault policy or the IAM policy of rotator the right that the message names",
        _ANSWERS,
        ("permissions_denied",),
    ),
    _R.NOT_KV2: ReasonInfo(
        _S.SERVICE,
        1,
        "The mount of the ledger or of the credential document is not KV version 2.",
        _REPEATS,
        "upgrade the mount with: vault kv enable-versioning MOUNT, or name another one",
        _ANSWERS,
    ),
    _R.VERSIONS_EXPIRE: ReasonInfo(
        _S.SERVICE,
        1,
        "The mount of the ledgers deletes every version after a time, so that ledgers and the installation id would "
        "expire.",
        _REPEATS,
        "set delete_version_after of the mount to 0s, or name another mount in ledger_path",
        _ANSWERS,
    ),
    _R.TOO_LARGE: ReasonInfo(
        _S.SERVICE,
        1,
        "Vault refused a write because the document is too large or has too many strings; a ledger was tried without "
        "its past as well.",
        _REPEATS,
        "raise max_request_json_strings and max_request_size of the listener of Vault",
        _ANSWERS,
    ),
    _R.NOT_FOUND: ReasonInfo(
        _S.SERVICE,
        1,
        "The service does not have what the configuration names: a mount, a namespace, a project.",
        _REPEATS,
        "correct the name in the configuration",
        _ANSWERS,
        ("no_route",),
    ),
    _R.INVALID_REQUEST: ReasonInfo(
        _S.SERVICE,
        1,
        "The service rejects a request as wrong.",
        _REPEATS,
        "correct the option that the message names; when it names none, report it",
        _ANSWERS,
        ("bad_request", "invalid_arguments"),
    ),
}
