"""The operator's hand from another process: the methods of ``ScalewaySandbox``, over HTTP."""

from __future__ import annotations

import builtins
import json
import urllib.error
import urllib.request
from collections import Counter
from datetime import datetime
from typing import Any

from rotator.sandbox.scaleway.entities import KeyView, RecordedEvent
from rotator.sandbox.scaleway.faults import Fault
from rotator.sandbox.scaleway.settings import Settings

_COMPLAINTS = {"LookupError": LookupError, "KeyError": LookupError, "TypeError": TypeError, "ValueError": ValueError}
_MOMENTS = ("created_at", "updated_at", "expires_at", "deleted_at")


class SandboxClient:
    """Drives a stand-in that runs elsewhere. ``Control`` describes the methods; what they return is
    a copy."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        self.url = url
        self._timeout = timeout
        # The sandbox is on this machine, whatever proxy the environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.faults = _RemoteFaults(self)
        about = self.call("describe")
        self.organization_id: str = about["organization_id"]
        self.management_application_id: str = about["management_application_id"]
        self.management_access_key: str = about["management_access_key"]
        self.management_secret: str = about["management_secret"]

    def call(self, verb: str, **arguments: Any) -> Any:
        """Send one command and return its result as JSON; raises what the method itself would
        raise."""
        body = json.dumps(arguments, default=_moment_text).encode()
        # S310: a local URL
        request = urllib.request.Request(f"{self.url}/_sandbox/{verb}", data=body, method="POST")  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return json.loads(answer.read())["result"]
        except urllib.error.HTTPError as error:
            with error:
                complaint = json.loads(error.read())
        raise _COMPLAINTS[complaint["error"]](complaint["message"])

    @property
    def settings(self) -> Settings:
        """The settings in force; changed by ``configure``."""
        return Settings(**self.call("describe")["settings"])

    def configure(self, **changes: Any) -> Settings:
        """Change some settings from now on."""
        return Settings(**self.call("configure", **changes))

    def release(self) -> int:
        """Let hanging requests go on and land everything that is late, now; how many these were."""
        return int(self.call("release"))

    def waiting(self) -> int:
        """How many requests hang and how many operations are still to land, together."""
        return int(self.call("waiting"))

    def create_organization(self) -> str:
        """Another organisation; its id."""
        return str(self.call("create_organization"))

    def edit_organization(
        self, organization_id: str | None = None, *, quota: int | None = None, **security: Any
    ) -> None:
        """Change the quota of keys, or any security setting."""
        self.call("edit_organization", organization_id=organization_id, quota=quota, **security)

    def create_project(self, name: str = "project", *, organization_id: str | None = None) -> str:
        """Another project; its id."""
        return str(self.call("create_project", name=name, organization_id=organization_id))

    def create_application(self, name: str, *, manager: bool = False, organization_id: str | None = None) -> str:
        """A new application; its id."""
        return str(self.call("create_application", name=name, manager=manager, organization_id=organization_id))

    def create_user(self, name: str, *, manager: bool = False, organization_id: str | None = None) -> str:
        """A new user; the id."""
        return str(self.call("create_user", name=name, manager=manager, organization_id=organization_id))

    def edit_application(self, application_id: str, **fields: Any) -> None:
        """Change ``name``, ``description``, ``tags`` or ``manager``."""
        self.call("edit_application", application_id=application_id, **fields)

    def delete_application(self, application_id: str) -> None:
        """Delete an application and its keys."""
        self.call("delete_application", application_id=application_id)

    def create_key(
        self,
        application_id: str,
        *,
        description: str = "",
        expires_at: datetime | None = None,
        default_project_id: str | None = None,
    ) -> tuple[str, str]:
        """A new key; its access key and its secret."""
        access_key, secret = self.call(
            "create_key",
            application_id=application_id,
            description=description,
            expires_at=expires_at,
            default_project_id=default_project_id,
        )
        return access_key, secret

    def edit_key(self, access_key: str, **fields: Any) -> None:
        """Change some fields of a key."""
        self.call("edit_key", access_key=access_key, **fields)

    def delete_key(self, access_key: str) -> None:
        """Delete a key, whatever protects it."""
        self.call("delete_key", access_key=access_key)

    def note_deed(self, bearer_id: str, method_name: str, **said: Any) -> None:
        """Put a call that the bearer made at some other product on the audit trail."""
        self.call("note_deed", bearer_id=bearer_id, method_name=method_name, **said)

    def keys(self, application_id: str | None = None, *, deleted: bool = False) -> list[KeyView]:
        """The keys there truly are; with ``deleted`` also those that were."""
        found = self.call("keys", application_id=application_id, deleted=deleted)
        return [KeyView(**{name: _moment(name, value) for name, value in key.items()}) for key in found]

    def accepts(self, access_key: str, *, everywhere: bool = False) -> bool:
        """Whether the key's secret is accepted now: by at least one gateway, or by all of them."""
        return bool(self.call("accepts", access_key=access_key, everywhere=everywhere))

    def secret_of(self, access_key: str) -> str:
        """The secret of a key, valid or deleted."""
        return str(self.call("secret_of", access_key=access_key))

    def all_secrets(self) -> list[str]:
        """Every secret ever issued."""
        return list(self.call("all_secrets"))

    def events(self, since: int = 0) -> list[RecordedEvent]:
        """What truly happened, from index ``since`` on; LookupError when some of that is no longer
        kept."""
        return [
            RecordedEvent(**{**event, "at": datetime.fromisoformat(event["at"])})
            for event in self.call("events", since=since)
        ]

    @property
    def log(self) -> list[RecordedEvent]:
        """Everything that truly happened."""
        return self.events()

    def calls(self, bearer: str | None = None) -> Counter[tuple[str, str]]:
        """How many requests came, by method and route; with ``bearer`` only those with a secret of
        that bearer."""
        return Counter({(method, route): count for method, route, count in self.call("calls", bearer=bearer)})

    def reset_calls(self) -> None:
        """Count from zero again."""
        self.call("reset_calls")


class _RemoteFaults:
    """The rules in force at the other side. A rule that is returned is a copy: ``list`` tells its
    ``hits``."""

    def __init__(self, client: SandboxClient) -> None:
        self._client = client

    def add(self, action: str, **rule: Any) -> Fault:
        """Put a rule behind the others; the arguments are the fields of ``Fault``."""
        return Fault(**self._client.call("faults.add", action=action, **rule))

    def list(self) -> builtins.list[Fault]:
        """All rules, spent ones included."""
        return [Fault(**rule) for rule in self._client.call("faults.list")]

    def remove(self, fault_id: int) -> None:
        """Withdraw a rule; nothing if there is none of that id."""
        self._client.call("faults.remove", fault_id=fault_id)

    def clear(self) -> None:
        """Withdraw all rules."""
        self._client.call("faults.clear")


def _moment(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in _MOMENTS and value else value


def _moment_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be sent to the sandbox")
