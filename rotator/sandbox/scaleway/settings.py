"""How the stand-in behaves: one immutable value, replaced as a whole when something is changed at
run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

REAL_LATENCY: Mapping[str, float] = {
    "latency_post": 0.257,
    "latency_get": 0.163,
    "latency_patch": 0.163,
    "latency_delete": 0.172,
    "latency_list": 0.402,
    "latency_list_by_bearer": 0.058,
}
"""Medians of the recorded answers in seconds, for ``configure(**REAL_LATENCY)``. PATCH was not
measured and is taken as GET."""


@dataclass(frozen=True)
class Settings:
    """Behaviour that applies to every request. All durations are seconds, and all numbers are zero
    or more unless said."""

    latency_post: float = 0.0
    """Half of a latency passes before the request is executed and half after it."""
    latency_get: float = 0.0
    latency_patch: float = 0.0
    latency_delete: float = 0.0
    latency_list: float = 0.0
    latency_list_by_bearer: float = 0.0
    """For lists of keys with a ``bearer_id``, which the real service answers much faster."""

    instances: int = 1
    """How many gateways take requests in turn. They learn of new and deleted keys one after the
    other."""
    activation_delay: float = 0.0
    """Until the last gateway accepts a key created from now on; the n-th of m does at n/m of it, so
    in between it flaps."""
    revocation_delay: float = 0.0
    """Until the last gateway refuses a key deleted from now on, spread over the gateways in the
    same way."""
    list_lag: float = 0.0
    """Lists of keys show which keys existed this long ago. Reading one key by name never lags."""

    rate_limit: float = 0.0
    """Requests per second, beyond which the answer is an empty 429. 0 is no limit."""
    rate_burst: float = 1.0
    """Requests that may come at once on top of the rate; at least 1."""

    date_skew: float = 0.0
    """Added to the Date header only; may be negative."""
    clock_offset: float = 0.0
    """Added to the service's whole calendar: Date, creation times and expiry; may be negative.
    Delays are not affected."""

    spaced: bool = True
    """Whether JSON answers have a space after each comma, as some deployments do. Errors never
    have."""
    expires_at_patchable: bool = True
    """Whether the expiry of an existing key may be changed; the documentation and the clients
    disagree."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(entry.default, bool) != isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"the setting {entry.name} must be a {type(entry.default).__name__}")
            if value < 0 and entry.name not in ("date_skew", "clock_offset"):
                raise ValueError(f"the setting {entry.name} must not be negative")
        if not isinstance(self.instances, int) or self.instances < 1 or self.rate_burst < 1:
            raise ValueError("the settings instances (a whole number) and rate_burst must be at least 1")
