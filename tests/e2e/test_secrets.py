"""I6: whole rotations with errors provoked at every adapter, and no secret in anything that came out."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Daemon, Rig

ANSWERS = [
    {"action": "status", "status": 401},
    {"action": "status", "status": 403},
    {"action": "status", "status": 409},
    {"action": "status", "status": 429},
    {"action": "status", "status": 500},
    {"action": "status", "status": 503},
    {"action": "reset", "executed": True},
    {"action": "drop"},
    {"action": "truncate"},
]


def test_a16_no_secret_comes_out_whatever_goes_wrong_at_either_side() -> None:
    with Rig() as rig:
        for name in ("billing", "shop"):
            rig.application(name)
        rig.configure(FAST.format(every="2s", grace="1s"))
        daemon = rig.daemon()
        wait_until(lambda: daemon.said("rotation.committed"), "a first rotation")
        heard = [_environment(daemon)]

        # every awkward answer at every route of the provider, while rotations go on
        for method, path in (
            ("GET", "*/api-keys"),
            ("GET", "*/api-keys/*"),
            ("POST", "*/api-keys"),
            ("DELETE", "*/api-keys/*"),
        ):
            faults = [rig.scaleway.faults.add(method=method, path=path, times=1, **fault) for fault in ANSWERS]  # type: ignore[arg-type]  # a table
            wait_until(
                partial(_all_met, rig, [fault.id for fault in faults]),
                f"every fault at {method} {path} was met",
                timeout=300,
            )
        # commands that fail in every way of theirs
        for arguments in (
            ("rotate", "bilingual"),
            ("rotate", "shop"),
            ("status",),
            ("plan",),
            ("history", "shop"),
            ("status", "--json"),
        ):
            done = rig.command(*arguments, check=False)
            heard += [done.stdout, done.stderr]

        # Vault: our policy is taken away, then Vault is sealed
        rig.vault.policy("rotator", 'path "secret/data/rotator/*" { capabilities = ["read"] }')
        wait_until(lambda: daemon.said("pass.failed", reason="policy"), "it is denied")
        done = rig.command("rotate", "shop", "--compromised", "--reason", "drill", check=False)
        assert done.returncode != 0
        heard += [done.stdout, done.stderr]
        rig.vault.seal()
        wait_until(lambda: daemon.said("service.down"), "Vault is down")
        done = rig.command("rotate", "shop", check=False)
        assert done.returncode == 3
        heard += [done.stdout, done.stderr]
        rig.vault.unseal()
        heard.append(_environment(daemon))
        daemon.end(signal.SIGTERM)
        heard.append(rig.configuration.read_text())
        rig.check_no_secret(*heard)
        assert len(rig.scaleway.all_secrets()) > 4, "hardly a secret was there to be found"
        assert "Traceback" not in daemon.log.read_text()


def test_i6_the_search_for_secrets_would_find_one() -> None:
    with Rig() as rig:
        rig.application("billing")
        secret = rig.scaleway.all_secrets()[0]
        try:
            rig.check_no_secret(f"oops: {secret}")
        except AssertionError:
            return
        raise AssertionError("a secret in plain sight was not found")


def _environment(daemon: Daemon) -> str:
    assert daemon.process
    return "".join(
        Path(f"/proc/{daemon.process.pid}/{what}").read_bytes().decode(errors="replace")
        for what in ("cmdline", "environ")
    )


def _all_met(rig: Rig, wanted: list[int]) -> bool:
    """Spent rules may leave the list."""
    return not any(fault.id in wanted and not fault.hits for fault in rig.scaleway.faults.list())
