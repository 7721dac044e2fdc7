"""The steps after ``rotator init``, as commands for an operator. Pure: the program runs none of
them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rotator.config import Configuration, Reference
from rotator.setup.policies import daemon_policy, provider_rights, render

CREDENTIALS = "/etc/rotator/credentials"
"""Where the unit loads encrypted credentials from."""


@dataclass(frozen=True)
class Instruction:
    """One step: its purpose and the commands."""

    title: str
    script: str


def instructions(configuration: Configuration) -> tuple[Instruction, ...]:
    """All remaining steps for this configuration, in order."""
    auth = configuration.vault.auth
    title = (
        "the policy of the daemon and its AppRole"
        if auth.method == "approle"
        else "the policy of the daemon; attach it to its login"
    )
    steps = [Instruction(f"At Vault, as its administrator: {title}", render([daemon_policy(configuration)], "shell"))]
    steps.append(
        Instruction(
            "At the provider, unless the management key exists: its application, its right and the key",
            provider_rights(list(configuration.accounts.values()), "shell"),
        )
    )
    if scripts := list(_credentials(configuration)):
        steps.append(
            Instruction("On this machine: the credentials, encrypted to it or in files of root", "".join(scripts))
        )
    file = shlex.quote(str(configuration.path))
    steps.append(
        Instruction(
            "Validate, look, start",
            f"sudo rotator check --config {file}\nsudo rotator plan --config {file}\n"
            f"sudo systemctl enable --now rotator\nsudo rotator status --config {file}\n",
        )
    )
    return tuple(steps)


def _credentials(configuration: Configuration) -> Iterator[str]:
    auth = configuration.vault.auth
    role = f"auth/{auth.mount}/role/{daemon_policy(configuration).name}"
    if auth.role_id:
        yield _store(f"bao read -field=role_id {role}/role-id", auth.role_id)
    if auth.secret_id:
        yield _store(f"bao write -f -field=secret_id {role}/secret-id", auth.secret_id)
    for reference in (auth.token, auth.jwt):
        if reference:
            yield _store(_ask(reference), reference)
    for reference in (auth.certificate, auth.key):
        if reference:
            yield _store(f"cat {shlex.quote(reference.target.rpartition('/')[2])}.pem", reference)
    for account in configuration.accounts.values():
        if account.secret_key and account.secret_key.kind != "vault":
            yield _store(_ask(account.secret_key), account.secret_key)


def _ask(reference: Reference) -> str:
    return f"systemd-ask-password -n {shlex.quote(f'{reference.target}:')}"


def _store(source: str, reference: Reference) -> str:
    if reference.kind == "credential":
        name = reference.target
        return f"{source} | sudo systemd-creds encrypt --name={name} - {CREDENTIALS}/{name}\n"
    target = shlex.quote(reference.target)
    return f"{source} | sudo install -m 0400 /dev/stdin {target}\n"
