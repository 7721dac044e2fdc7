"""An application gets another name in the middle of a grace, and its keys leak after that: real processes and a real OpenBao."""

from __future__ import annotations

import json
import signal
from datetime import datetime

from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Prober, Rig


def test_c5_i3_a_rename_in_the_middle_of_a_grace_keeps_it_and_an_emergency_under_the_new_name_reaches_every_key() -> (
    None
):
    with Rig() as rig:
        rig.application("billing")
        rig.configure(FAST.format(every="30d", grace="2h"))
        daemon = rig.daemon("renamed")
        wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
        first = rig.published("billing")
        rig.command("rotate", "billing")
        second, promised = rig.published("billing"), rig.ledger("billing")["retiring"]
        prober = Prober(rig, "billing")
        prober.start()

        text = rig.configuration.read_text()
        rig.configuration.write_text(text.replace("[applications.billing]", "[applications.payments]"))
        daemon.send(signal.SIGHUP)
        wait_until(lambda: daemon.said("application.renamed", application="payments"), "the ledger is taken over")
        wait_until(lambda: rig.ledger("billing").get("current") is None, "the old ledger is empty")
        assert (rig.ledger("billing")["successor"], rig.ledger("payments")["retiring"]) == ("payments", promised)
        assert datetime.fromisoformat(promised[0]["revoke_after"]) > datetime.fromisoformat(
            rig.ledger("payments")["current"]["since"]
        )
        assert (rig.rotations("billing"), rig.published("billing")) == (1, second), "a rename rotates nothing"
        status = json.loads(rig.command("status", "--json", check=False).stdout)
        assert [entry["name"] for entry in status["applications"]] == ["payments"]

        done = rig.command("rotate", "payments", "--compromised", "--reason", "found in a repository")
        assert "contained" in done.stdout
        for leaked in (first, second):
            assert not rig.scaleway.accepts(leaked), f"{leaked} was of the application, whatever its name was then"
        third = rig.published("billing")
        assert rig.scaleway.accepts(third, everywhere=True)
        wait_until(lambda: not rig.ledger("payments")["compromised"], "the emergency is over")
        assert rig.ledger("payments")["current"]["access_key"] == third
        prober.end()
        assert prober.refusals == [], "I1"
        daemon.end(signal.SIGTERM)
        assert rig.living_keys_of_ours("billing") == {third}
        rig.check_no_secret()
