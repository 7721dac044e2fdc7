"""The script that a user would write instead: the official SDK and hvac, one key after the other, no proof and no second thought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hvac
from scaleway import Client
from scaleway.iam.v1alpha1 import IamV1Alpha1API

if TYPE_CHECKING:
    from tests.e2e.rig import Rig

_clients: dict[str, tuple[Any, Any]] = {}


def rotate_by_script(rig: Rig, name: str) -> None:
    """Create a key, write it to Vault, delete the old one."""
    if rig.vault.address not in _clients:
        vault = hvac.Client(
            url=rig.vault.address, token=rig.vault.root_token.reveal() if rig.vault.root_token else None
        )
        api = IamV1Alpha1API(
            Client(
                access_key=rig.scaleway.management_access_key,
                secret_key=rig.scaleway.management_secret,
                api_url=rig.scaleway.url,
                default_organization_id=rig.scaleway.organization_id,
            )
        )
        _clients[rig.vault.address] = (vault, api)
    vault, api = _clients[rig.vault.address]
    path = f"apps/{name}"
    old = vault.secrets.kv.v2.read_secret_version(path, mount_point="secret", raise_on_deleted_version=True)["data"][
        "data"
    ]["access_key"]
    key = api.create_api_key(description="by script", application_id=rig.bearers[name])
    vault.secrets.kv.v2.create_or_update_secret(
        path, {"access_key": key.access_key, "secret_key": key.secret_key}, mount_point="secret"
    )
    api.delete_api_key(access_key=old)
