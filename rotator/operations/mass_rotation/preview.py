"""Previews a mass rotation: order, duration, and the keys that would remain. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rotator.domain.account import MassRotation
from rotator.operations.coverage import CoverageReport
from rotator.operations.failures import explain
from rotator.operations.mass_rotation.account_snapshot import AccountScope, take_snapshot
from rotator.operations.mass_rotation.coordinator import (
    MassRotationRequest,
    by_its_clock,
    proof_of,
    selected_applications,
)
from rotator.operations.mass_rotation.estimate import Estimate, estimate
from rotator.operations.mass_rotation.free_quota import free_slots
from rotator.util.formatting import format_timestamp


@dataclass(frozen=True)
class PreviewEntry:
    """An application to rotate, and its old keys. ``needs_room``: another key is created first;
    ``held``: on hold, so it would be skipped."""

    name: str
    keys: tuple[str, ...]
    oldest: datetime
    needs_room: bool
    held: bool = False


@dataclass(frozen=True)
class Preview:
    """The preview of one account. ``room``: free quota, None if the provider reports none;
    ``again``: an earlier start would be resumed; ``unread``: ledgers that cannot be read, and
    why."""

    order: MassRotation
    turns: tuple[PreviewEntry, ...]
    room: int | None
    rate_limit: float
    foreseen: Estimate | None
    again: bool
    remaining: CoverageReport
    unread: Mapping[str, str]

    @property
    def account(self) -> str:
        """The account."""
        return self.remaining.account

    @property
    def fit_now(self) -> int | None:
        """How many rotations fit into the quota before a grace ends; None if the provider reports
        none."""
        return None if self.room is None else max(0, free_slots(self.room, 0, 0))

    @property
    def blocked(self) -> bool:
        """Whether another key is needed and the quota is exhausted."""
        return self.room == 0 and any(turn.needs_room for turn in self.turns)

    def as_json(self) -> dict[str, Any]:
        """The preview as JSON."""
        return {
            "account": self.account,
            "created_before": format_timestamp(self.order.created_before),
            "compromised": self.order.compromised,
            "goes_on_with": self.order.id or None,
            "room": self.room,
            "at_once": self.foreseen.at_once if self.foreseen else 0,
            "calls": self.foreseen.calls if self.foreseen else 0,
            "seconds": round(self.foreseen.duration.total_seconds()) if self.foreseen else 0,
            "applications": [
                {
                    "name": one.name,
                    "keys": list(one.keys),
                    "oldest": format_timestamp(one.oldest),
                    "needs_room": one.needs_room,
                    "held": one.held,
                }
                for one in self.turns
            ],
            "remaining": self.remaining.as_json()["keys"],
            "broken": sorted(self.unread),
        }


def build_preview(scope: AccountScope, request: MassRotationRequest) -> Preview:
    """Previews what the mass rotation would do to the account now, without failures."""
    snapshot = take_snapshot(scope)
    unfinished = snapshot.document.unfinished(request.selector, request.since)
    order = unfinished or by_its_clock(scope, request).order("", scope.clock.now())
    found = selected_applications(snapshot, request.selection, order)
    room = scope.provider.headroom(fresh=True)
    proofs = [proof_of(one.spec, compromised=request.compromised) for one in found]
    slowest = max(proofs, key=lambda proof: (proof.successes - 1) * proof.interval, default=None)
    held = {name for name, ledger in snapshot.survey.ledgers.items() if ledger.held(scope.clock.now())}
    dead = {key for one in found if one.name not in held for key in one.keys} if order.compromised else set()
    coverage = snapshot.coverage_of(request.selection, order.created_before)
    return Preview(
        order,
        tuple(
            PreviewEntry(one.name, tuple(sorted(one.keys)), one.oldest, one.needs_room, one.name in held)
            for one in found
        ),
        room,
        scope.rate_limit,
        estimate(len(found), room, scope.rate_limit, slowest) if slowest else None,
        again=unfinished is not None,
        remaining=replace(coverage, rows=tuple(row for row in coverage.rows if row.key.access_key not in dead)),
        unread={name: "; ".join(explain(error).sentences) for name, error in sorted(snapshot.survey.unread.items())},
    )
