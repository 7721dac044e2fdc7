"""An ordinary rotation on a person's word: passes are driven until what was asked for is true and read back.

Nothing here decides anything about keys. It asks (a ``Request``), runs passes, and judges their outcome: done, refused, failed, or
a service that stayed away longer than the policy's patience.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rotator.decision.observation import Request
from rotator.domain.policy import Policy
from rotator.domain.ports import Journal
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.convergence import Patience, obstacle, pause
from rotator.operations.result import Result, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import Memory, Outcome, World
from rotator.reconciler.runner import drive, run_pass
from rotator.util.formatting import moment, span


@dataclass
class Witness:
    """A journal that passes everything on and remembers which rotations this process claimed itself."""

    journal: Journal
    claimed: set[object] = field(default_factory=set)

    def emit(self, event: str, **fields: object) -> None:
        """Remember a claim; pass everything on."""
        if event == "rotation.claimed":
            self.claimed.add(fields.get("rotation_id"))
        self.journal.emit(event, **fields)


def rotate(policy: Policy, world: World, sleep: Sleep, reason: str) -> Result:
    """Rotate now: until the published key is another one and the ledger's current one. Raises nothing that a person is to read."""
    if not policy.configured:
        return failed(policy.application, Refused(f"{policy.application} left the configuration: put it back to have it rotated"))
    witness = Witness(world.journal)
    try:
        return _rotate(policy, replace(world, journal=witness), sleep, reason, witness)
    except RotatorError as error:
        return failed(policy.application, error)


def _rotate(policy: Policy, world: World, sleep: Sleep, reason: str, witness: Witness) -> Result:
    replaces = world.vault.read_document(policy.path, policy.access_field, policy.secret_field).published
    request, memory, patience = Request(reason, replaces), Memory(), Patience(policy, world)
    ledger, _ = world.vault.read_ledger(policy.application)
    failures = ledger.failures if ledger else 0
    while True:
        outcome = drive(run_pass(policy, world, memory, request), sleep)
        if done := _fulfilled(policy, outcome, replaces, witness):
            return done
        hurdle = obstacle(policy, outcome, failures)
        failures = outcome.ledger.failures if outcome.ledger else failures
        if hurdle and hurdle.exit_code != 3:
            return hurdle
        if over := patience.over(hurdle, outcome.ledger):
            return over
        pause(world, sleep, outcome)


def _fulfilled(policy: Policy, outcome: Outcome, replaces: str | None, witness: Witness) -> Result | None:
    """The result, if what the pass last read from Vault is what was asked for."""
    ledger, document = outcome.ledger, outcome.document
    if outcome.error or ledger is None or ledger.current is None or document is None:
        return None
    current = ledger.current
    if document.published in {None, replaces} or current.access_key != document.published:
        return None
    rotation_id = next((entry.rotation_id for entry in reversed(ledger.history) if entry.access_key == current.access_key), "")
    ours = rotation_id in witness.claimed
    old = next((entry for entry in ledger.retiring if entry.access_key == replaces), None)
    published = f"{current.access_key} is published in version {document.version} of {policy.path} and read back"
    rest = f"; {replaces} lives on until {moment(old.revoke_after)} ({span(policy.grace)} of grace)" if old else ""
    return Result(
        policy.application,
        "rotated" if ours else "overtaken",
        0,
        f"rotated: {published}{rest}" if ours else f"somebody else was faster, so nothing was left to do: {published}{rest}",
        access_key=current.access_key,
        version=document.version,
        replaced=replaces or "",
        revoke_after=old.revoke_after if old else None,
        rotation_id=rotation_id,
    )
