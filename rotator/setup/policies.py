"""Renders Vault policies as HCL, JSON, shell commands or Terraform, with the AppRole of each login.
Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from rotator.config import Account, Configuration
from rotator.vault.policy import (
    Right,
    consumer_rights,
    merged_capabilities,
    policy_text,
    required_rights,
    watcher_rights,
)

FORMATS = ("hcl", "json", "shell", "terraform")

PERMISSION_SET = "IAMApplicationManager"
"""The smallest permission set of Scaleway that can create and delete keys of other applications."""

LIMITS = (
    ("token_no_default_policy", True, "the policy is complete, so Vault's default policy is not needed"),
    ("token_ttl", "1h", "a token that is not renewed ends within an hour"),
    ("token_max_ttl", "24h", "a stolen token ends within a day; the daemon logs in again"),
    ("token_num_uses", 0, "a daemon makes calls without a limit"),
    ("secret_id_num_uses", 0, "each login of the daemon and of its commands is one use"),
)
"""Options of an AppRole, with the reason of each."""


@dataclass(frozen=True)
class Policy:
    """One policy with its name. ``approle``: the mount of its login's AppRole; empty for another
    login."""

    name: str
    title: str
    rights: tuple[Right, ...]
    approle: str = "approle"


def daemon_policy(configuration: Configuration) -> Policy:
    """The policy of the daemon, and of commands that run without it."""
    references = [account.secret_key for account in configuration.accounts.values() if account.secret_key]
    secrets = [reference.target for reference in references if reference.kind == "vault"]
    documents = [spec.path for spec in configuration.specs.values()]
    auth = configuration.vault.auth
    name = auth.own_secret_id.role if auth.own_secret_id else "rotator"
    role = f"auth/{auth.mount}/role/{name}" if auth.own_secret_id else ""
    rights = required_rights(configuration.vault.ledger_path, documents, secrets, role=role)
    return Policy(name, "the daemon", rights, auth.mount if auth.method == "approle" else "")


def watcher_policy(configuration: Configuration) -> Policy:
    """The policy of a login that only shows the state of applications."""
    return Policy(
        "rotator-watcher", "rotator status without the daemon", watcher_rights(configuration.vault.ledger_path)
    )


def consumer_policies(configuration: Configuration, names: Sequence[str]) -> tuple[Policy, ...]:
    """The policy of the consumer of each of these applications. No AppRole is created, since a
    consumer has a login already."""
    return tuple(
        Policy(
            f"{name}-consumer", f"the consumers of {name}", consumer_rights(configuration.specs[name].path), approle=""
        )
        for name in names
    )


def render(policies: Sequence[Policy], form: str, *, cidrs: Sequence[str] = ()) -> str:
    """The policies in one of ``FORMATS``. ``cidrs``: the addresses that an AppRole accepts; empty
    accepts all."""
    if form == "json":
        rendered = [json.dumps(policy_json(policy), indent=2) for policy in policies]
        return (
            rendered[0] + "\n"
            if len(rendered) == 1
            else json.dumps({one.name: policy_json(one) for one in policies}, indent=2) + "\n"
        )
    if form == "shell":
        return "\n".join(_shell(policy, cidrs) for policy in policies)
    if form == "terraform":
        return "\n".join(_terraform(policy, cidrs) for policy in policies)
    if len(policies) == 1:
        return policy_text(policies[0].rights)
    return "\n".join(f"# {policy.name}: {policy.title}\n{policy_text(policy.rights)}" for policy in policies)


def policy_json(policy: Policy) -> dict[str, object]:
    """The policy in Vault's JSON syntax."""
    return {"path": {path: {"capabilities": list(found)} for path, found in merged_capabilities(policy.rights).items()}}


# --- shell ----------------------------------------------------------------------------------------


def _shell(policy: Policy, cidrs: Sequence[str]) -> str:
    text = (
        f"# The policy of {policy.title}.\nbao policy write {policy.name} - <<'EOF'\n{policy_text(policy.rights)}EOF\n"
    )
    if not policy.approle:
        return text
    options = [f"token_policies={policy.name}", *(f"{name}={_word(value)}" for name, value, _ in _limits(cidrs))]
    reasons = "".join(f"#   {name}: {why}\n" for name, _, why in _limits(cidrs))
    return (
        f"{text}\n# The AppRole of {policy.title}.\n{reasons}bao auth list -format=json | grep -q "
        f"'\"{policy.approle}/\"' || bao auth enable -path={policy.approle} approle\nbao write "
        f"auth/{policy.approle}/role/{policy.name} \\\n    "
        + " \\\n    ".join(shlex.quote(one) for one in options)
        + "\n"
    )


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limits(cidrs: Sequence[str]) -> list[tuple[str, object, str]]:
    found: list[tuple[str, object, str]] = list(LIMITS)
    if cidrs:
        listed = ",".join(cidrs)
        found += [
            ("secret_id_bound_cidrs", listed, "a stolen secret id opens nothing from another address"),
            ("token_bound_cidrs", listed, "nor does a stolen token"),
        ]
    return found


# --- Terraform ------------------------------------------------------------------------------------


def _terraform(policy: Policy, cidrs: Sequence[str]) -> str:
    label = re.sub(r"[^A-Za-z0-9_-]", "_", policy.name)
    label = label if re.match(r"[A-Za-z_]", label) else f"_{label}"
    text = (
        f'resource "vault_policy" "{label}" {{\n  name   = "{policy.name}"\n  policy = <<-EOT\n'
        + "".join(f"    {line}\n" for line in policy_text(policy.rights).splitlines())
        + "  EOT\n}\n"
    )
    if not policy.approle:
        return text
    options: list[tuple[str, str, str]] = [
        ("backend", json.dumps(policy.approle), ""),
        ("role_name", json.dumps(policy.name), ""),
        ("token_policies", f"[vault_policy.{label}.name]", ""),
    ]
    seconds = {"1h": "3600", "24h": "86400"}
    for name, value, why in _limits(cidrs):
        written = json.dumps(list(cidrs)) if name.endswith("_cidrs") else seconds.get(str(value), _word(value))
        options.append((name, written, f" # {why}"))
    width = max(len(name) for name, _, _ in options)
    body = "".join(f"  {name:<{width}} = {value}{why}\n" for name, value, why in options)
    return f'{text}\nresource "vault_approle_auth_backend_role" "{label}" {{\n{body}}}\n'


# --- the provider ---------------------------------------------------------------------------------


def provider_rights(accounts: Sequence[Account], form: str) -> str:
    """The permissions of each account's management key at the provider, in one of ``FORMATS``."""
    rendered = [_PROVIDER[form](account) for account in accounts]
    return "\n".join(rendered) if form != "json" or len(rendered) != 1 else rendered[0]


def _provider_json(account: Account) -> str:
    rule = {"organization_id": account.organization_id, "permission_set_names": [PERMISSION_SET]}
    body = {
        "name": "rotator",
        "organization_id": account.organization_id,
        "application_id": "APPLICATION_ID",
        "rules": [rule],
    }
    return json.dumps(body, indent=2) + "\n"


def _provider_shell(account: Account) -> str:
    organization = shlex.quote(f"organization-id={account.organization_id}")
    return (
        f"# The IAM application that manages the keys of account {account.name}, its right, and its key.\n"
        f"id=$(scw iam application create name=rotator {organization} -o template='{{{{ .ID }}}}')\n"
        f'scw iam policy create name=rotator application-id="$id" {organization} \\\n'
        f"    rules.0.permission-set-names.0={PERMISSION_SET} "
        f"{shlex.quote(f'rules.0.organization-id={account.organization_id}')}\n"
        'scw iam api-key create application-id="$id" description="management key of rotator"\n'
    )


def _provider_terraform(account: Account) -> str:
    label = re.sub(r"[^A-Za-z0-9_-]", "_", f"rotator_{account.name}")
    organization = json.dumps(account.organization_id)
    return (
        f'resource "scaleway_iam_application" "{label}" {{\n  name            = "rotator"\n  organization_id = '
        f"{organization}\n}}\n\n"
        f'resource "scaleway_iam_policy" "{label}" {{\n  name            = "rotator"\n  organization_id = '
        f"{organization}\n"
        f"  application_id  = scaleway_iam_application.{label}.id\n\n"
        f"  rule {{\n    organization_id      = {organization}\n"
        f'    permission_set_names = ["{PERMISSION_SET}"]\n  }}\n}}\n'
    )


_PROVIDER = {
    "hcl": _provider_terraform,
    "json": _provider_json,
    "shell": _provider_shell,
    "terraform": _provider_terraform,
}
