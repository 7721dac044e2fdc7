"""The tools of an operator, acting on the playground: ``bao``, ``scw``, ``systemctl``, ``sudo``.

Each is a script in ``bin`` of the playground. ``bao`` is the real client with the administrator's
token. ``systemctl`` acts on a consumer, or on the daemon of the machine whose configuration
``$ROTATOR_CONFIG`` names. ``scw`` deletes a key at the stand-in. ``sudo`` runs its arguments.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rotator.domain.secret import Secret
from rotator.errors import Refused, RotatorError
from rotator.sandbox.openbao import OpenBao, find_binary
from rotator.sandbox.practice.client import ask

ADMINISTRATOR = "administrator"
"""The home directory of Vault's administrator: the token of ``bao``, and the unseal key."""

UNIT_VERBS = ("start", "stop", "restart", "reload", "is-active")

INACTIVE, INACTIVE_EXIT_CODE = "inactive", 3
"""What ``systemctl is-active`` prints of a unit that does not run, and its exit code then."""


def install(directory: Path, vault: OpenBao) -> None:
    """Write the scripts, and the files that ``bao`` needs."""
    home, scripts = directory / ADMINISTRATOR, directory / "bin"
    for folder in (home, scripts):
        folder.mkdir(mode=0o700, exist_ok=True)
    for name, secret in ((".vault-token", vault.root_token), ("unseal-key", vault.unseal_key)):
        path = home / name
        path.touch(mode=0o600)
        path.write_text((secret or Secret("")).reveal())
    ours = shlex.join([sys.executable, "-m", "rotator.sandbox.practice.tools", str(directory)])
    bao = f"HOME={shlex.quote(str(home))} BAO_ADDR={vault.address} exec {shlex.quote(find_binary())}"
    unseal = f'[ "$*" = "operator unseal" ] && set -- write sys/unseal key=@{shlex.quote(str(home / "unseal-key"))}'
    lines = {
        "bao": f'{unseal}\n{bao} "$@"',
        "sudo": 'exec "$@"',
        "scw": f'exec {ours} scw "$@"',
        "systemctl": f'exec {ours} systemctl "$@"',
    }
    for name, line in lines.items():
        script = scripts / name
        script.write_text(f"#!/bin/sh\n# Made by rotator sandbox start: {name} acts on the playground alone.\n{line}\n")
        script.chmod(0o700)


def run(directory: Path, tool: str, words: Sequence[str], configuration: str = "") -> str:
    """What ``systemctl`` or ``scw`` prints. Raises ``Refused`` for what is unknown here."""
    match tool, [word for word in words if word != "--now"]:
        case "systemctl", ["enable", unit]:
            return run(directory, tool, ["start", unit], configuration)
        case "systemctl", ["disable", unit]:
            return run(directory, tool, ["stop", unit], configuration)
        case "systemctl", [verb, "rotator" | "rotator.service"] if verb in UNIT_VERBS:
            machine = "second" if Path(configuration).parent.name == "second" else "first"
            return str(ask(directory, "unit", f"{verb} {machine}"))
        case "systemctl", ["restart", unit]:
            return str(ask(directory, "consumer", unit))
        case "scw", ["iam", "api-key", "delete", access_key]:
            return str(ask(directory, "delete-key", access_key))
    known = f"systemctl {'|'.join(UNIT_VERBS)} rotator; systemctl restart APPLICATION; scw iam api-key delete KEY"
    raise Refused(f"{tool} {shlex.join(words)}: the playground does not know this; it knows: {known}")


def main(directory: str, tool: str, *words: str) -> int:
    """Run one tool, and return its exit code."""
    try:
        answer = run(Path(directory), tool, words, os.environ.get("ROTATOR_CONFIG", ""))
    except RotatorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if answer:
        sys.stdout.write(f"{answer}\n")
    return INACTIVE_EXIT_CODE if answer == INACTIVE else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
