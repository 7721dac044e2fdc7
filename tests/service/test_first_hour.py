"""From the installed package to the first key of each application, by what `rotator init` prints, on a booted machine."""

from __future__ import annotations

import re
from pathlib import Path

from rotator.cli.questions import METHODS
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.service.conftest import ROOT
from tests.service.first_hour import ENVIRONMENT, first_keys_are_there, lay_out, scripts_to_paste
from tests.service.machine import machine

UNIT = (ROOT / "systemd" / "rotator.service").read_text()


def test_every_credential_that_init_names_is_loaded_by_the_unit() -> None:
    loaded = set(re.findall(r"^LoadCredentialEncrypted=([^:]+):", UNIT, re.MULTILINE))
    named = {value.removeprefix("credential:") for references in METHODS.values() for value in references.values()}
    assert named <= loaded


def test_what_init_prints_leads_to_a_running_service_with_a_first_key_of_each_application(package: Path) -> None:
    with machine() as booted, OpenBao() as vault, ScalewaySandbox() as scaleway:
        lay_out(booted, vault, scaleway, package)
        booted.run("apt-get", "install", "--yes", "--quiet", f"/srv/{package.name}")
        answers = (
            f'[vault]\naddress = "{vault.address}"\n'
            f'[accounts.acme]\norganization_id = "{scaleway.organization_id}"\napi_url = "{scaleway.url}"\n'
            f'access_key = "{scaleway.management_access_key}"\n'
            'discover_with = "file:/root/management-key"\napplications = ["*"]\n'
        )
        booted.write("/root/answers.toml", answers)
        booted.run("mv", "/etc/rotator/rotator.toml", "/etc/rotator/rotator.toml.example")
        printed = booted.run("rotator", "init", "--from-answers", "/root/answers.toml").stdout
        for script in scripts_to_paste(printed).values():
            booted.run("bash", "-euo", "pipefail", stdin=script, env=ENVIRONMENT)
        assert booted.show("ActiveState") == "active"
        wait_until(lambda: first_keys_are_there(vault), "each application has its first key")
        assert "billing: rotated" in booted.run("rotator", "rotate", "billing").stdout
