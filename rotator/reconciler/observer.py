"""Observes one application: the ledger, then the document, then the provider's keys; the order
matters."""

from __future__ import annotations

from dataclasses import replace

from rotator.decision.observation import Observation, Presence
from rotator.decision.ownership import own_ledger
from rotator.decision.state import ApplicationState
from rotator.decision.steps import Wait
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Rejected
from rotator.reconciler.ledger_directory import read_former_document, read_related
from rotator.reconciler.pass_state import PassState


def containment_place(spec: ApplicationSpec, ledger: Ledger | None) -> ApplicationSpec:
    """Where a pass observes and acts: the place in the configuration or, while compromised keys are
    contained, the place in the ledger. A ledger without a current key has seen none in its fields,
    so those of the configuration count."""
    if ledger is None or not ledger.compromised or ledger.account != spec.account:
        return spec
    source = ledger if ledger.current is not None else spec
    recorded = (ledger.bearer, ledger.path, source.access_field, source.secret_field)
    if recorded == (spec.bearer, spec.path, spec.access_field, spec.secret_field):
        return spec
    fields = {source.access_field: "{access_key}", source.secret_field: "{secret_key}"}
    return replace(spec, bearer=ledger.bearer, path=ledger.path, fields=fields, grace=ledger.grace)


class Observer:
    """Observes the application of one pass, and reports what the ledger does not record."""

    def __init__(self, current: PassState) -> None:
        self._pass = current

    def observe(self) -> Observation:
        """One observation. Raises what the services raise."""
        vault = self._pass.vault
        self._pass.local_state.look_again = False
        found, ledger_version = vault.read_ledger(self._pass.configured.application)
        self._pass.ledger_read_at = self._pass.now()
        ledger = own_ledger(self._pass.configured, found)
        spec = self._pass.spec = containment_place(self._pass.configured, ledger)
        related, unread = read_related(spec, vault, self._pass.context.related(spec), ledger)
        document = self._pass.find_document(ledger)
        if found is None:  # a ledger that is gone, or never was: begin from what there is
            self._pass.local_state.floor = document.version
        installation = vault.installation()
        keys = {key.access_key: key for key in self._pass.provider_for(ledger).list_keys(spec.bearer)}
        presence, foreign = self._find_unlisted(document.published, ledger, keys)
        now = self._pass.now()
        observation = Observation(
            clocks=self._pass.context.clocks(),
            installation=installation,
            owner=self._pass.context.owner,
            next_rotation_id=self._pass.context.clock.token(),
            ledger=ledger,
            ledger_version=ledger_version,
            document=document,
            keys=tuple(sorted(keys.values(), key=lambda key: (key.created_at, key.access_key))),
            presence=presence,
            foreign=foreign,
            in_flight=self._pass.in_flight,
            floor=self._pass.local_state.floor,
            fence=self._pass.local_state.fence,
            owner_gone=bool(ledger and ledger.intent and self._pass.context.is_gone(ledger.intent.owner)),
            invalid_elsewhere=self._pass.context.casualties.others(spec.application, now),
            request=self._pass.request,
            related=related,
            unread_ledgers=unread,
            former_documents=self._read_former_documents(ledger),
        )
        self._report_unmanaged(ApplicationState(spec, observation))
        return observation

    def _read_former_documents(self, ledger: Ledger | None) -> dict[str, CredentialDocument]:
        """The documents at former paths that published a key when last seen, as far as they can be
        read."""
        found: dict[str, CredentialDocument] = {}
        for former in ledger.predecessors if ledger and not ledger.successor else ():
            if former.access_key:
                document = read_former_document(self._pass.vault, former.path, former.access_field, former.secret_field)
                found |= {former.path: document} if document else {}
        return found

    def _find_unlisted(
        self, published: str | None, ledger: Ledger | None, keys: dict[str, Key]
    ) -> tuple[Presence, frozenset[str]]:
        """Absence is not proven by a list: the published key and the compromised ones are asked for
        by name."""
        foreign: set[str] = set()
        condemned = {entry.access_key for entry in ledger.revoking} if ledger else set()
        asked = {published} if published else set()
        asked |= (ledger.compromised_keys() - condemned) if ledger else set()
        for access_key in sorted(asked - set(keys)):
            try:
                key = self._pass.provider_for(ledger).get_key(access_key)
            except Rejected as refusal:
                if refusal.argument != "access_key":
                    raise
                foreign.add(access_key)  # what a person wrote there is no name of a key
                continue
            if key is not None and key.bearer == self._pass.spec.bearer:
                keys[key.access_key] = key
            elif key is not None:
                foreign.add(key.access_key)
        if published is None:
            return Presence.NOTHING, frozenset(foreign)
        if published in keys:
            return Presence.LISTED, frozenset(foreign)
        return (Presence.FOREIGN if published in foreign else Presence.GONE), frozenset(foreign)

    def _report_unmanaged(self, state: ApplicationState) -> None:
        """Report keys that this application neither made nor published, under any of its names,
        once each."""
        observation, names = (
            state.observation,
            state.names | {one.ledger.application for one in state.observation.related},
        )
        known = {key.access_key for key in observation.keys if observation.marker(key, names)} | {state.published}
        for ledger in (state.ledger, *(one.ledger for one in observation.related)):
            known |= ledger.names() | ledger.published_elsewhere()
        unmanaged_keys = frozenset(key.access_key for key in observation.keys) - known
        for access_key in sorted(unmanaged_keys - self._pass.local_state.unmanaged_keys):
            self._pass.emit("key.unmanaged_found", access_key=access_key)
        self._pass.local_state.unmanaged_keys = unmanaged_keys

    def report_problem(self, wait: Wait, observation: Observation) -> Wait:
        """Report what stops the application and is not recorded, once when it appears and once when
        it clears.

        Who records a problem reports it with the write, and who asked for a rotation gets the
        answer."""
        if self._pass.request is not None:
            return wait
        recorded = observation.ledger.problem if observation.ledger else None
        problem, known = wait.problem, self._pass.local_state.reported
        if problem is not None and recorded is not None and problem.reason == recorded.reason:
            problem = None
        if known is not None and problem is not None and problem.reason == known.reason:
            return replace(wait, problem=replace(problem, since=known.since))
        if known is not None:
            self._pass.emit("application.recovered", reason=known.reason)
        if problem is not None:
            self._pass.emit("application.blocked", reason=problem.reason, message=problem.message)
        self._pass.local_state.reported = problem
        return wait
