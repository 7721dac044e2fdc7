"""From the installed package to the first key of each application, by what `rotator init` prints, on a booted machine."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from rotator.cli.questions import METHODS
from rotator.sandbox.openbao import OpenBao, find_binary
from rotator.sandbox.process import wait_until
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.service.conftest import ROOT
from tests.service.machine import machine

UNIT = (ROOT / "systemd" / "rotator.service").read_text()


def test_every_credential_that_init_names_is_loaded_by_the_unit() -> None:
    loaded = set(re.findall(r"^LoadCredentialEncrypted=([^:]+):", UNIT, re.MULTILINE))
    named = {value.removeprefix("credential:") for references in METHODS.values() for value in references.values()}
    assert named <= loaded


def test_what_init_prints_leads_to_a_running_service_with_a_first_key_of_each_application(package: Path) -> None:
    with machine() as booted, OpenBao() as vault, ScalewaySandbox() as scaleway:
        assert vault.root_token
        for name in ("billing", "shop"):
            scaleway.create_application(name)
        (booted.root / "srv" / package.name).write_bytes(package.read_bytes())
        booted.run("apt-get", "install", "--yes", "--quiet", f"/srv/{package.name}")
        booted.write("/root/.vault-token", vault.root_token.reveal(), 0o600)
        shutil.copy(find_binary(), booted.root / "srv" / "bao")  # the machine has a /tmp of its own
        booted.write("/usr/local/bin/bao", f'#!/bin/sh\nBAO_ADDR={vault.address} exec /srv/bao "$@"\n', 0o755)
        booted.write("/usr/local/bin/systemd-ask-password", "#!/bin/sh\ncat /root/management-key\n", 0o755)
        booted.write("/root/management-key", scaleway.management_secret, 0o600)
        answers = (
            f'[vault]\naddress = "{vault.address}"\n'
            f'[accounts.acme]\norganization_id = "{scaleway.organization_id}"\napi_url = "{scaleway.url}"\n'
            f'access_key = "{scaleway.management_access_key}"\n'
            'discover_with = "file:/root/management-key"\napplications = ["*"]\n'
        )
        booted.write("/root/answers.toml", answers)
        booted.run("mv", "/etc/rotator/rotator.toml", "/etc/rotator/rotator.toml.example")
        printed = booted.run("rotator", "init", "--from-answers", "/root/answers.toml").stdout
        blocks = re.split(r"^# \d+\. (.*)\n\n", printed, flags=re.MULTILINE)
        scripts = dict(zip(blocks[1::2], blocks[2::2], strict=True))
        assert len(scripts) == 4
        path = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        for title, script in scripts.items():
            if "provider" not in title:  # the management key is at hand
                booted.run("bash", "-euo", "pipefail", stdin=script, env=path)
        assert booted.show("ActiveState") == "active"

        def published(name: str) -> bool:
            return vault.call("GET", f"secret/data/apps/{name}/scaleway", token=vault.root_token).status == 200

        wait_until(lambda: published("billing") and published("shop"), "each application has its first key")
        assert "billing: rotated" in booted.run("rotator", "rotate", "billing").stdout
