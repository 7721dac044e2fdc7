"""The reasons that block an application until an operator, or time, removes the cause."""

from __future__ import annotations

from collections.abc import Mapping

from rotator.domain.reason_info import Reason, ReasonInfo, Source

_NOTHING_TOUCHED = "rotator changes nothing for the application, apart from keys that are marked compromised."
_KEY_STAYS = (
    "The published key stays; rotator revokes nothing that consumers may still need, and looks again every 30 seconds."
)
_CLEARS = "`application.recovered` is logged, and `rotator status` shows no problem."
_R, _S = Reason, Source

BLOCKS: Mapping[Reason, ReasonInfo] = {
    _R.CONFIGURATION_MOVED: ReasonInfo(
        _S.CONFIGURATION,
        4,
        "The configuration names another account, bearer or path than the ledger of the application.",
        _NOTHING_TOUCHED,
        "put the old value back, or give the application a new name so that the old one can be wound up",
        _CLEARS,
    ),
    _R.FIELDS_RENAMED: ReasonInfo(
        _S.CONFIGURATION,
        4,
        "The configuration names other fields of the credential document than the ledger, so the published key cannot "
        "be found.",
        _NOTHING_TOUCHED,
        "put the old names back, or give the application a new name and path",
        _CLEARS,
    ),
    _R.SUPERSEDED: ReasonInfo(
        _S.OBSERVER,
        4,
        "Another application has the bearer or the document of this one: it was renamed, or left the configuration.",
        "rotator does nothing under the old name. The application that owns them manages the keys.",
        "use the new name in every configuration; to use the old name again, remove its empty ledger in Vault",
        _CLEARS,
        specific=True,
    ),
    _R.LEDGER_CONFLICT: ReasonInfo(
        _S.OBSERVER,
        4,
        "Two ledgers name one bearer, and it is unknown which of them owns it: two configurations use two names, or a "
        "ledger was lost; or the ledger of an earlier name cannot be read.",
        "rotator does nothing for either name, apart from keys that are marked compromised.",
        "use one name in every configuration, then remove the ledger of the other name in Vault",
        _CLEARS,
        specific=True,
    ),
    _R.FORMER_DOCUMENT: ReasonInfo(
        _S.SHARED,
        4,
        "A key that is due to be revoked is still published by the document at a former path of the application.",
        "rotator revokes the key after its grace, counted from when that document no longer publishes it.",
        "let consumers read {path} and delete the document at the former path",
        _CLEARS,
    ),
    _R.NOT_CONFIGURED: ReasonInfo(
        _S.CONFIGURATION,
        4,
        "The published key is compromised or about to be revoked, and the application is not in the configuration any "
        "more, so no new key may be made for it.",
        "rotator goes on revoking the other keys of the application; the published one stays valid.",
        "put {application} back into the configuration, or delete the key at the provider when nothing uses it",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_STALE: ReasonInfo(
        _S.OBSERVER,
        4,
        "Vault shows an older version of the credential document than this process has seen before.",
        _NOTHING_TOUCHED,
        "see whether a node of Vault is behind; when Vault was restored from a backup, restart rotator",
        _CLEARS,
    ),
    _R.DOCUMENT_UNREADABLE: ReasonInfo(
        _S.OBSERVER,
        4,
        "Vault does not give the credential document to this process.",
        _NOTHING_TOUCHED,
        "give the Vault policy of rotator the capability read on {path}",
        _CLEARS,
    ),
    _R.DOCUMENT_RESTORED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document is older than the ledger, or than a key that was made for it: it was restored from a"
        " backup, or deleted and written anew. Consumers may read a key that is revoked.",
        _NOTHING_TOUCHED,
        "restore the ledger of the same time as well, or write the newest key into {path} again; or, to start over "
        "from what the document holds, remove the ledger and delete at the provider the other keys that were made for "
        "it",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_DELETED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document was deleted, so consumers find no key.",
        _KEY_STAYS,
        "undelete it in Vault; or, to start over, remove its metadata and the ledger, and delete at the provider the "
        "keys that were made for it",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_EXPIRES: ReasonInfo(
        _S.SHARED,
        4,
        "Vault deletes versions of the credential document by itself, because delete_version_after is set on its "
        "mount or on it.",
        "rotator writes the document again, unchanged, when half of the time of a version has passed. It claims no "
        "rotation, except in an emergency. A version that has expired is not taken for a document that a person "
        "deleted; nothing is revoked.",
        "set delete_version_after of the mount and of {path} to 0s; undelete a version that has expired",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_DAMAGED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document holds a key without a text that can be its secret, or a secret without a key.",
        _KEY_STAYS,
        "write a sound version of {path}, or roll it back",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_EMPTIED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document held a key before and holds none now.",
        _KEY_STAYS,
        "roll {path} back in Vault; or, to start over, remove the ledger and delete at the provider the keys that "
        "were made for it",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.FOREIGN_KEY: ReasonInfo(
        _S.SHARED,
        4,
        "A key that the document or a mark names belongs to another bearer, or is no key at all.",
        "rotator never touches a key of another bearer. Its own keys stay as they are.",
        "publish one of the application's own keys, or revoke the other key where it belongs",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.KEY_IN_OTHER_FIELD: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document holds a key of the application in a field that the configuration does not name, so "
        "consumers may read a key that a rotation would not replace.",
        "rotator makes no key by the calendar and revokes nothing. A published key that is compromised or invalid is "
        "still replaced. A compromised key that only the other field holds is revoked with --revoke-first.",
        "write a `fields` line that names the field into the configuration of {application}, or remove the key from "
        "that field of {path}",
        _CLEARS,
        consumers_at_risk=True,
        specific=True,
    ),
    _R.SECRET_REJECTED: ReasonInfo(
        _S.SHARED,
        4,
        "The provider rejects the published secret although its key exists: the document holds a secret of another "
        "key.",
        _KEY_STAYS,
        "publish the right secret in {path}, or roll it back",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.PROBE_INCONCLUSIVE: ReasonInfo(
        _S.OBSERVER,
        3,
        "The published key could not be probed: the provider gave no clear answer.",
        "rotator probes again every 30 seconds, and neither replaces nor revokes a key meanwhile.",
        "look at the provider's status page and at the network between this machine and it",
        _CLEARS,
    ),
    _R.BEARER_GONE: ReasonInfo(
        _S.SHARED,
        4,
        "The provider does not know the bearer of the application's keys.",
        _KEY_STAYS,
        "check the bearer {bearer} in the configuration and the organisation of account {account}",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.WRONG_ACCOUNT: ReasonInfo(
        _S.OBSERVER,
        4,
        "The published key authenticates, and the account has no key of that name: the account is another "
        "organisation.",
        "rotator revokes nothing: a key that this account does not list is not taken for gone.",
        "correct organization_id and secret_key of account {account}",
        _CLEARS,
    ),
    _R.MANY_KEYS_INVALID: ReasonInfo(
        _S.SHARED,
        4,
        "The published keys of several applications of one account are rejected at once, so the account looks wrong "
        "and not the keys.",
        "rotator replaces no further key of the account on its own.",
        "check organisation and address of account {account}; when the keys are really invalid, run: rotator rotate "
        "{application}",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.ORPHAN_AMBIGUOUS: ReasonInfo(
        _S.SHARED,
        4,
        "Several attempts to make the first key may have left keys behind, and no document shows which of them could "
        "be published.",
        "rotator makes no further key for the application.",
        "delete these keys at the provider by hand",
        _CLEARS,
    ),
    _R.TOO_MANY_KEYS: ReasonInfo(
        _S.SHARED,
        4,
        "The application has as many valid keys as it may have.",
        "rotator rotates as soon as a grace period has ended.",
        "wait for the grace of the old keys to end, or end it with: rotator revoke KEY",
        _CLEARS,
    ),
    _R.QUOTA: ReasonInfo(
        _S.SHARED,
        4,
        "The organisation's quota has no room for another key.",
        "The published key stays. rotator rotates as soon as there is room.",
        "delete keys that nothing uses, or have the quota of account {account} raised",
        _CLEARS,
    ),
    _R.VAULT_PERMISSION_MISSING: ReasonInfo(
        _S.OBSERVER,
        1,
        "The Vault token of this process lacks a capability on the credential path, so a new key could not be "
        "published.",
        "The published key stays; rotator asks again every 30 seconds and makes no key that it could not publish.",
        "extend the Vault policy of rotator for {path}",
        _CLEARS,
    ),
    _R.DELETE_UNCONFIRMED: ReasonInfo(
        _S.SHARED,
        3,
        "The answer to the deletion of a key was lost, and the key still authenticates.",
        "rotator sends the deletion again and probes again.",
        "look at the provider's status page; when the deletion goes on failing, delete the key at the provider",
        "`key.revoked` is logged.",
    ),
    _R.DELETE_REFUSED: ReasonInfo(
        _S.SHARED,
        1,
        "The provider refuses to delete a key that is scheduled for revocation.",
        "rotator tries again with every pass; other keys do not wait for this one.",
        "give the management key of account {account} the right to delete keys, or delete the key at the provider",
        "`key.revoked` is logged.",
    ),
    _R.REVOCATION_UNVERIFIED: ReasonInfo(
        _S.SHARED,
        1,
        "A key was deleted and still authenticates.",
        "rotator deletes and probes again with every pass; the key stays in the ledger until it is rejected.",
        "report it to the provider when the key still authenticates after some minutes",
        "`key.revoked` is logged.",
    ),
    _R.MANAGEMENT_KEY: ReasonInfo(
        _S.OBSERVER,
        4,
        "A key that is due to be revoked is the one that its account logs in with.",
        "rotator never revokes that key; it revokes it once the account logs in with another one.",
        "put another key into secret_key and access_key of [accounts.{account}] and reload",
        _CLEARS,
        specific=True,
    ),
    _R.NOT_REVOCABLE: ReasonInfo(
        _S.SHARED,
        1,
        "The provider manages the key itself or protects it from deletion.",
        "rotator leaves the key alone; it stays in the ledger.",
        "have the provider's support remove the key, or make it deletable",
        _CLEARS,
    ),
    _R.CLOCK_SKEW: ReasonInfo(
        _S.OBSERVER,
        1,
        "The clocks of this machine, of Vault and of the provider differ by more than `max_clock_skew`.",
        "Revocations by a deadline wait. Rotations and emergencies go on. A process whose clock agrees is not "
        "affected.",
        "correct the clock of this machine, for instance with chrony, or that of Vault",
        _CLEARS,
    ),
    _R.LEDGER_UNREADABLE: ReasonInfo(
        _S.SERVICE,
        4,
        "The ledger of the application is deleted, damaged, or written by a newer version of rotator.",
        _NOTHING_TOUCHED,
        "roll the ledger back to its last sound version in Vault, or upgrade rotator",
        "Passes end with `pass.decided`, and `rotator status` shows the application.",
    ),
    _R.HELD: ReasonInfo(
        _S.SHARED,
        4,
        "An operator holds the application.",
        "rotator neither claims nor revokes; it goes on observing.",
        "release it with: rotator resume {application}",
        "`application.resumed` is logged.",
    ),
}
