"""The operator's hand and the ground truth: what a test or a demonstration does to the service, and
learns about it.

Nothing here passes through gateways, faults, latency, quota or policy. ``ScalewaySandbox`` has all
of it in its own process, ``SandboxClient`` has the same over HTTP.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from rotator.sandbox.scaleway.audit_trail import made_up
from rotator.sandbox.scaleway.entities import ApiKey, IamBearer, KeyView, Organization, RecordedEvent, view
from rotator.sandbox.scaleway.faults import Faults
from rotator.sandbox.scaleway.settings import Settings
from rotator.sandbox.scaleway.state import EVENTS_KEPT, StandInState

EDITABLE_KEY_FIELDS = frozenset({"description", "default_project_id", "expires_at", "editable", "deletable", "managed"})
DEED_FIELDS = frozenset(
    {
        "source_ip",
        "user_agent",
        "product_name",
        "service_name",
        "region",
        "project_id",
        "status_code",
        "resources",
        "ago",
    }
)
EDITABLE_APPLICATION_FIELDS = frozenset({"name", "description", "tags", "manager"})


class ControlInterface:
    """One service with one organisation, in which a first application with all rights holds the
    management key."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        events_kept: int = EVENTS_KEPT,
        **settings: Any,
    ) -> None:
        self._state = StandInState(clock, seed=seed, events_kept=events_kept)
        self.faults = Faults(self._state.lock)
        organization = self._state.add_organization()
        manager = self._state.add_bearer(organization, "application", "management", manager=True)
        key = self._state.add_key(manager, description="management")
        self.organization_id = organization.id
        self.management_application_id = manager.id
        self.management_access_key = key.access_key
        self.management_secret = key.secret
        self.configure(**settings)

    # --- behaviour --------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in force; changed by ``configure``."""
        return self._state.settings

    def configure(self, **changes: Any) -> Settings:
        """Change some settings from now on."""
        with self._state.settled():
            self._state.configure(changes)
            return self._state.settings

    def release(self) -> int:
        """Let hanging requests go on and land everything that is late, now; how many these were."""
        with self._state.settled():
            return self._state.land_all()

    def waiting(self) -> int:
        """How many requests hang and how many operations are still to land, together."""
        with self._state.settled():
            return self._state.postponed

    # --- organisations ----------------------------------------------------------------------------

    def create_organization(self) -> str:
        """Another organisation, of which the management key knows nothing; its id."""
        with self._state.settled():
            return self._state.add_organization().id

    def edit_organization(
        self, organization_id: str | None = None, *, quota: int | None = None, **security: Any
    ) -> None:
        """Change the quota of keys, or any security setting such as
        ``max_api_key_expiration_duration="3600s"``."""
        with self._state.settled():
            organization = self._organization(organization_id)
            if unknown := security.keys() - organization.security.keys():
                raise ValueError(f"there is no security setting {', '.join(sorted(unknown))}")
            organization.quota = organization.quota if quota is None else quota
            organization.security.update(security)

    def create_project(self, name: str = "project", *, organization_id: str | None = None) -> str:
        """Another project; its id."""
        with self._state.settled():
            return self._state.add_project(self._organization(organization_id), name)

    # --- bearers ----------------------------------------------------------------------------------

    def create_application(self, name: str, *, manager: bool = False, organization_id: str | None = None) -> str:
        """A new application, with all rights in its organisation or none; its id."""
        with self._state.settled():
            return self._state.add_bearer(self._organization(organization_id), "application", name, manager=manager).id

    def create_user(self, name: str, *, manager: bool = False, organization_id: str | None = None) -> str:
        """A new user, who can bear keys too; the id."""
        with self._state.settled():
            return self._state.add_bearer(self._organization(organization_id), "user", name, manager=manager).id

    def edit_application(self, application_id: str, **fields: Any) -> None:
        """Change ``name``, ``description``, ``tags`` or ``manager``."""
        _known(fields, EDITABLE_APPLICATION_FIELDS)
        with self._state.settled():
            self._state.update_bearer(self._bearer(application_id), fields)

    def delete_application(self, application_id: str) -> None:
        """Delete an application and its keys."""
        with self._state.settled():
            self._state.remove_bearer(self._bearer(application_id))

    # --- keys -------------------------------------------------------------------------------------

    def create_key(
        self,
        application_id: str,
        *,
        description: str = "",
        expires_at: datetime | None = None,
        default_project_id: str | None = None,
    ) -> tuple[str, str]:
        """A new key; its access key and its secret. An expiry may be in the past."""
        with self._state.settled():
            key = self._state.add_key(
                self._bearer(application_id),
                description=description,
                expires_at=expires_at,
                default_project_id=default_project_id,
            )
            return key.access_key, key.secret

    def edit_key(self, access_key: str, **fields: Any) -> None:
        """Change ``description``, ``default_project_id``, ``expires_at``, ``editable``,
        ``deletable`` or ``managed``."""
        _known(fields, EDITABLE_KEY_FIELDS)
        with self._state.settled():
            self._state.update_key(self._live(access_key), fields)

    def delete_key(self, access_key: str) -> None:
        """Delete a key, whatever protects it."""
        with self._state.settled():
            self._state.remove_key(self._live(access_key))

    def note_deed(self, bearer_id: str, method_name: str, **said: Any) -> None:
        """Put a call that the bearer made at some other product on the audit trail: ``source_ip``,
        ``user_agent``, ``product_name``, ``service_name``, ``region``, ``project_id``,
        ``status_code``, ``resources`` (pairs of type and id), and how many seconds ``ago``."""
        _known(said, DEED_FIELDS)
        with self._state.settled() as state:
            at = state.now() - timedelta(seconds=said.pop("ago", 0.0))
            state.deeds.append(made_up(at, self._bearer(bearer_id), method_name, said))

    def keys(self, application_id: str | None = None, *, deleted: bool = False) -> list[KeyView]:
        """The keys there truly are, of one application or of all, oldest first; with ``deleted``
        also those that were."""
        with self._state.settled():
            found = (key for key in self._state.keys.values() if deleted or key.died is None)
            return [view(key) for key in found if application_id in (None, key.bearer.id)]

    def accepts(self, access_key: str, *, everywhere: bool = False) -> bool:
        """Whether the key's secret is accepted now: by at least one gateway, or by all of them."""
        with self._state.settled():
            accepting = self._state.accepting(self._any(access_key))
            return accepting == self._state.settings.instances if everywhere else accepting > 0

    def secret_of(self, access_key: str) -> str:
        """The secret of a key, valid or deleted."""
        with self._state.settled():
            return self._any(access_key).secret

    def all_secrets(self) -> list[str]:
        """Every secret ever issued, the management key's first."""
        with self._state.settled():
            return list(self._state.by_secret)

    # --- what happened ----------------------------------------------------------------------------

    def events(self, since: int = 0) -> list[RecordedEvent]:
        """What truly happened, from index ``since`` on; LookupError when some of that is no longer
        kept."""
        with self._state.settled():
            return self._state.events(since)

    @property
    def log(self) -> list[RecordedEvent]:
        """Everything that truly happened."""
        return self.events()

    def calls(self, bearer: str | None = None) -> Counter[tuple[str, str]]:
        """How many requests came, by method and route; with ``bearer`` only those with a secret of
        that bearer (empty: with none that was ever issued).
        """
        with self._state.settled():
            counted: Counter[tuple[str, str]] = Counter()
            for (method, route, who), count in self._state.calls.items():
                if bearer in (None, who):
                    counted[method, route] += count
            return counted

    def reset_calls(self) -> None:
        """Count from zero again."""
        with self._state.settled():
            self._state.calls.clear()

    # --- looking things up ------------------------------------------------------------------------

    def _organization(self, organization_id: str | None) -> Organization:
        chosen = organization_id or self.organization_id
        if chosen not in self._state.organizations:
            raise LookupError(f"the sandbox has no organisation {chosen}")
        return self._state.organizations[chosen]

    def _bearer(self, bearer_id: str) -> IamBearer:
        if bearer_id not in self._state.bearers:
            raise LookupError(f"the sandbox has no application or user {bearer_id}")
        return self._state.bearers[bearer_id]

    def _any(self, access_key: str) -> ApiKey:
        if access_key not in self._state.keys:
            raise LookupError(f"the sandbox never issued a key {access_key}")
        return self._state.keys[access_key]

    def _live(self, access_key: str) -> ApiKey:
        key = self._any(access_key)
        if key.died is not None:
            raise LookupError(f"the key {access_key} has been deleted already")
        return key


def _known(fields: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := fields.keys() - known:
        raise ValueError(
            f"there is no field {', '.join(sorted(unknown))} to edit; there are {', '.join(sorted(known))}"
        )
