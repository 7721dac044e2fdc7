"""Implements ``rotator.domain.ports.Provider`` with Scaleway's IAM API."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import quote

from rotator.domain.access_key import is_access_key
from rotator.domain.audit import AuditTrail
from rotator.domain.keys import Bearer, Key, ProbeResult
from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, QuotaExceeded, ServiceError, TooManyKeys, Unavailable
from rotator.http import HttpResponse
from rotator.providers.scaleway.audit_trail import read_audit_trail
from rotator.providers.scaleway.client import ScalewayClient
from rotator.providers.scaleway.errors import APPLICATION, KEY, ApiCall, error_of, lacks_right, missing, unauthenticated
from rotator.providers.scaleway.quota import QuotaHeadroom, limit_on_keys
from rotator.providers.scaleway.responses import Unexpected, bearer_of, body_of, created_of, key_of, page_of

READINGS = 3
"""How often a list is read from its first page if its pages are inconsistent."""
PAGE_SIZE = 100
"""Maximum items of a page."""

MOST_PAGES = 100
"""Maximum pages of a list: 10,000 keys, read in about four seconds, during which no key of the list
may be created or deleted."""

QUOTA_TIMEOUT = 5.0
"""Seconds for reading the quota: the answer is a hint, and a create reports a full quota itself."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

Accept = Callable[[HttpResponse], bool]


class ScalewayProvider:
    """One organisation at Scaleway, as a provider of keys for its IAM applications. Thread-safe."""

    def __init__(
        self,
        name: str,
        organization_id: str,
        api: ScalewayClient,
        *,
        headroom: QuotaHeadroom | None = None,
        urgent: bool = False,
    ) -> None:
        self.name = name
        self._organization = organization_id
        self._api = api
        self._headroom = headroom or QuotaHeadroom(self._read_headroom)
        self._urgent = urgent

    def urgent(self) -> Self:
        """The same account for an emergency: its calls may use the reserved share of the rate
        limit."""
        return type(self)(self.name, self._organization, self._api, headroom=self._headroom, urgent=True)

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        """Every key of the bearer, oldest first."""
        call = self._call(f"listing the keys of {bearer}")
        keys = self._list(call, {"bearer_id": _id(bearer, "application_id", call)})
        return tuple(key for key in keys if key.bearer == bearer)

    def list_all_keys(self) -> tuple[Key, ...]:
        """Every key of the organisation, oldest first."""
        return tuple(self._list(self._call("listing all keys of the organisation"), {}))

    def list_bearers(self) -> tuple[Bearer, ...]:
        """Every application of the organisation, by name."""
        call = self._call("listing the applications of the organisation")
        found: dict[str, Bearer] = {}
        for page in range(1, MOST_PAGES + 1):
            place = {"page": str(page), "page_size": str(PAGE_SIZE), "order_by": "created_at_asc"}
            items, total = self._page(call, "applications", "applications", place)
            with _shaped(call):
                found |= {bearer.id: bearer for bearer in map(bearer_of, items)}
            if not items or len(found) >= total:
                break
        if len(found) != total:
            raise call.not_done("the pages do not add up to their count", kind="inconsistent_pages")
        return tuple(sorted(found.values(), key=lambda bearer: (bearer.name.casefold(), bearer.id)))

    def get_key(self, access_key: str) -> Key | None:
        """The key of that name; None if the API reports that it does not exist."""
        call = self._call(f"looking for the key {access_key}")
        answer = self._get(call, _key_path(access_key, call), accept=lambda answer: _ok(answer) or missing(answer, KEY))
        if answer.status == 404:
            return None
        with _shaped(call):
            key = key_of(body_of(answer))
            if key.access_key != access_key:
                raise Unexpected("access_key")
            return key

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        """Sends one POST, whatever the answer. A key whose answer is malformed is found later by
        its marker."""
        call = self._call(f"creating a key for {bearer}", writing=True)
        body = {"application_id": _id(bearer, "application_id", call), "description": description}
        if default_project_id is not None:
            body["default_project_id"] = default_project_id
        if expires_at is not None:
            body["expires_at"] = expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        try:
            answer = self._api.call(call, "POST", "api-keys", json=body, once=True, urgent=self._urgent, accept=_ok)
            with _shaped(call):
                key, secret = created_of(answer)
                if key.bearer != bearer or key.description != description:
                    raise Unexpected("the bearer or the description")
                if default_project_id not in (None, key.default_project_id):
                    raise Unexpected("default_project_id")
        except QuotaExceeded:
            self._headroom.none_left()
            raise
        except Indeterminate:
            self._headroom.change(-1)
            raise
        self._headroom.change(-1)
        return key, secret

    def delete_key(self, access_key: str) -> bool:
        """Deletes the key. False if it did not exist."""
        call = self._call(f"deleting the key {access_key}", writing=True)
        answer = self._api.call(
            call,
            "DELETE",
            _key_path(access_key, call),
            urgent=self._urgent,
            accept=lambda answer: answer.status in (200, 204) or missing(answer, KEY),
        )
        if answer.status == 404:
            return False
        self._headroom.change(+1)
        return True

    def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
        """Reads the key with its own secret. A key without permission to read has authenticated
        too."""
        call = self._call(f"trying the key {access_key}")
        try:
            answer = self._api.try_secret(call, secret, _key_path(access_key, call), urgent=self._urgent)
            if unauthenticated(answer):
                return ProbeResult.REJECTED
            if lacks_right(answer) or (_ok(answer) and key_of(body_of(answer)).access_key == access_key):
                return ProbeResult.VALID
        except (ServiceError, Unexpected):
            pass
        return ProbeResult.INCONCLUSIVE

    def missing_right(self, key: Key, secret: Secret) -> str:
        """The first read that is denied to the new key and not to the key in use. The quota is a
        hint: without an answer it is not needed."""
        call = self._call(f"reading with the new key {key.access_key}")
        page = {"organization_id": self._organization, "page": "1", "page_size": "1"}
        application = f"applications/{_id(key.bearer, 'application_id', call)}"
        for path, params in (("api-keys", page), (_key_path(key.access_key, call), {}), (application, {})):
            if denied := self._denied(call, secret, path, params):
                return denied
        try:
            return self._denied(call, secret, "quota", page, end=time.monotonic() + QUOTA_TIMEOUT)
        except ServiceError:
            return ""

    def bearer_exists(self, bearer: str) -> bool:
        """Whether the application exists."""
        call = self._call(f"looking for the application {bearer}")
        path = f"applications/{_id(bearer, 'application_id', call)}"
        answer = self._get(call, path, accept=lambda answer: _ok(answer) or missing(answer, APPLICATION))
        if answer.status == 404:
            return False
        with _shaped(call):
            if body_of(answer).get("id") != bearer:
                raise Unexpected("id")
            return True

    def headroom(self, *, fresh: bool = False) -> int | None:
        """The quota on keys minus the existing keys. Never raises: without the number, a create
        shows it."""
        return self._headroom.get(fresh=fresh)

    def trail(self, bearer: str, since: datetime, until: datetime) -> AuditTrail:
        """The bearer's calls in the audit trail. It names no access key and omits Object
        Storage."""
        call = self._call(f"reading the audit trail of {bearer}")

        def ask(path: str, query: Mapping[str, str]) -> HttpResponse:
            return self._get(call, path, params=dict(query), accept=_ok)

        return read_audit_trail(ask, self._organization, bearer, since, until)

    def clock_offset(self) -> timedelta:
        """Scaleway's clock minus this machine's, from the latest answer; zero before the first."""
        return self._api.http.clock_offset()

    def close(self) -> None:
        """Closes every connection."""
        self._api.http.close()

    # --- parts of verbs ---------------------------------------------------------------------------

    def _call(self, doing: str, *, writing: bool = False) -> ApiCall:
        return ApiCall(self.name, doing, writing)

    def _get(
        self,
        call: ApiCall,
        path: str,
        *,
        params: dict[str, str] | None = None,
        end: float | None = None,
        accept: Accept,
    ) -> HttpResponse:
        return self._api.call(call, "GET", path, params=params, urgent=self._urgent, end=end, accept=accept)

    def _denied(
        self, call: ApiCall, secret: Secret, path: str, params: dict[str, str], *, end: float | None = None
    ) -> str:
        """Why this secret may not read what the management key may; empty if it may, or if neither
        may."""
        answer = self._api.try_secret(call, secret, path, params=params, urgent=self._urgent, end=end)
        if _ok(answer):
            return ""
        if not lacks_right(answer):
            raise call.not_done(f"the answer ({answer.status}) shows no right", kind="unexpected_answer")
        known = self._get(call, path, params=params, end=end, accept=lambda one: _ok(one) or lacks_right(one))
        return str(error_of(answer, call)) if _ok(known) else ""

    def _page(
        self, call: ApiCall, path: str, name: str, params: dict[str, str], *, end: float | None = None
    ) -> tuple[list[object], int]:
        answer = self._get(call, path, params={"organization_id": self._organization, **params}, end=end, accept=_ok)
        with _shaped(call):
            return page_of(answer, name)

    def _list(self, call: ApiCall, filters: dict[str, str]) -> list[Key]:
        """The keys on all pages; read again from the first page if something changed meanwhile."""
        for _ in range(READINGS):
            keys = self._all_pages(call, {**filters, "order_by": "created_at_asc"})
            if keys is not None:
                return keys
        raise call.not_done("the pages do not add up to their count", kind="inconsistent_pages")

    def _all_pages(self, call: ApiCall, params: dict[str, str]) -> list[Key] | None:
        """Every key that is valid throughout; None if the pages are inconsistent, since a key may
        be missing.

        The oldest keys come first, so a deletion moves later keys to earlier pages. Reading pages
        in order could miss a key that moves from an unread page to a read one. So several pages are
        read from the last to the first.
        """
        found, first, total = self._keys_on(call, 1, params)
        if not first or first >= total:
            return list(found.values()) if len(found) == total else None
        pages = -(-total // first)
        if pages > MOST_PAGES:
            why = f"the list has {total} keys on {pages} pages, more than the {MOST_PAGES} pages that are read at once"
            raise TooManyKeys(f"{self.name}: {call.doing}: {why}", service=self.name, kind="too_many_keys")
        totals = {total}
        for page in range(pages, 0, -1):
            keys, _, total = self._keys_on(call, page, params)
            found |= keys
            totals.add(total)
        return (
            sorted(found.values(), key=lambda key: (key.created_at, key.access_key)) if totals == {len(found)} else None
        )

    def _keys_on(self, call: ApiCall, page: int, params: dict[str, str]) -> tuple[dict[str, Key], int, int]:
        """The keys on one page, the number of its items, and the number on all pages."""
        items, total = self._page(
            call, "api-keys", "api_keys", {**params, "page": str(page), "page_size": str(PAGE_SIZE)}
        )
        with _shaped(call):
            return {key.access_key: key for key in map(key_of, items)}, len(items), total

    def _read_headroom(self) -> int | None:
        """The free quota; None if the account does not report it. Raises ``Unavailable`` within
        ``QUOTA_TIMEOUT``."""
        call = self._call("reading the quota on keys")
        end = time.monotonic() + QUOTA_TIMEOUT
        try:
            limit = self._limit_on_keys(call, end)
            if limit is None:
                return None
            _, in_use = self._page(call, "api-keys", "api_keys", {"page": "1", "page_size": "1"}, end=end)
            return limit - in_use
        except Unavailable:
            raise
        except ServiceError:
            return None

    def _limit_on_keys(self, call: ApiCall, end: float) -> int | None:
        seen = 0
        for page in range(1, MOST_PAGES + 1):
            items, total = self._page(call, "quota", "quota", {"page": str(page), "page_size": "100"}, end=end)
            limit = limit_on_keys(items)
            seen += len(items)
            if limit is not None or not items or seen >= total:
                return limit
        return None


def _ok(answer: HttpResponse) -> bool:
    return answer.status in (200, 201)


@contextmanager
def _shaped(call: ApiCall) -> Iterator[None]:
    """Turns an answer of an unexpected form into an error; it is not read as an empty one."""
    try:
        yield
    except Unexpected as part:
        raise call.unknown(f"the answer is not what it should be ({part})", kind="unexpected_answer") from None


def _id(bearer: str, option: str, call: ApiCall) -> str:
    if not _ID.fullmatch(bearer):
        raise call.rejected(
            "this is not the id of an application; correct application_id", kind="invalid_arguments", argument=option
        )
    return bearer


def _key_path(access_key: str, call: ApiCall) -> str:
    if not is_access_key(access_key):
        raise call.rejected("this is not an access key of Scaleway", kind="invalid_arguments", argument="access_key")
    return f"api-keys/{quote(access_key, safe='')}"
