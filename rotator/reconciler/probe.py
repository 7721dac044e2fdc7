"""Probes the published key: whether it authenticates, and whether its bearer exists."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime

from rotator.decision.observation import Observation, Presence
from rotator.domain.keys import ProbeResult
from rotator.domain.spec import VerificationPolicy
from rotator.reconciler.pass_state import PassState, Waits, require


class PublishedKeyProbe:
    """Probes the published key of one pass."""

    def __init__(self, current: PassState) -> None:
        self._pass = current
        self.found_invalid = ""
        """The published key that this observation found invalid and no event reports yet. A node of
        Vault that is behind may still show a key that was replaced and revoked, so the ledger is
        written first: the write fails unless its newest version was read."""

    def run(self, observation: Observation) -> Waits:
        """Probe the published key; the result is part of the observation."""
        published, secret = require(observation.document.published), require(observation.document.secret)
        verdict = yield from self._ask(
            lambda: self._pass.provider.authenticate(published, secret), self._pass.spec.emergency_verification
        )
        bearer_observed = verdict is not ProbeResult.REJECTED or self._pass.provider.bearer_exists(
            self._pass.spec.bearer
        )
        now = self._pass.now()
        if verdict is ProbeResult.REJECTED and bearer_observed and observation.presence is Presence.GONE:
            self.found_invalid = published
            self._pass.context.casualties.note(self._pass.spec.application, now)
        elif verdict is ProbeResult.VALID:
            self._pass.context.casualties.clear(self._pass.spec.application)
        self._pass.observation = replace(observation, published_probe=verdict, bearer_observed=bearer_observed)

    def _ask(
        self, try_once: Callable[[], ProbeResult], verification: VerificationPolicy
    ) -> Generator[datetime, None, ProbeResult]:
        """One success settles that a secret works; that it does not takes several refusals in a
        row."""
        give_up, refusals = self._pass.now() + verification.timeout, 0
        while True:
            verdict = try_once()
            refusals += verdict is ProbeResult.REJECTED
            if verdict is ProbeResult.VALID or refusals >= verification.successes:
                return verdict
            again = self._pass.now() + verification.interval
            if again > give_up:
                return ProbeResult.INCONCLUSIVE
            yield from self._pass.wait_until(again)

    def report_invalid(self) -> None:
        """Report the published key that was found invalid, once."""
        if self.found_invalid:
            self._pass.emit("key.published_key_invalid", access_key=self.found_invalid)
            self.found_invalid = ""
