"""Planted bugs: small, plausible wrong versions of the program, each of which must be caught, or the proof proves nothing.

Each is a replacement of a few words in the real source. The runner copies the program, plants one, and hunts it in a process of
its own (``tests.proof.hunt``): first in the explored scenarios, then in random histories. It shows which check caught it, after how much.

``python -m tests.proof.planted`` hunts them all; words after it choose those whose name contains them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bug:
    """One wrong version: what somebody might have thought, and the words that make it so."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    deep: bool = False
    """Whether it takes the larger scenarios or many histories to catch it, so that the suite leaves it to ``make prove``."""
    tests: tuple[str, ...] = ()
    """Tests that hunt it instead, where it lies in what no scenario and no history runs: files of tests, or single ones."""

    def plant(self, root: Path) -> None:
        """Change the source below ``root``. Raises ``AssertionError`` when the words are not there exactly once: update the bug."""
        path = root / "rotator" / self.file
        text = path.read_text()
        for before, after in self.changes:
            assert text.count(before) == 1, (
                f"{self.name}: {self.file} has {text.count(before)} places that read: {before}"
            )
            text = text.replace(before, after)
        path.write_text(text)


@dataclass(frozen=True)
class Found:
    """How a hunt ended: which check caught it after how many states and histories, or None."""

    bug: Bug
    check: str | None
    states: int
    histories: int
    message: str


def bug(name: str, file: str, *changes: tuple[str, str], deep: bool = False, tests: tuple[str, ...] = ()) -> Bug:
    """A bug from its parts."""
    return Bug(name, file, changes, deep, tests)


OWN_KEY = ("tests/reconciler/test_own_key.py", "tests/reconciler/test_management_key.py")


OTHER_FIELDS = ("tests/decision/test_unconfigured_fields.py", "tests/cli/test_keys_in_other_fields.py")
SECRET_ID = ("tests/vault/test_secret_ids.py",)


BULKHEADS = ("tests/daemon/test_bulkheads.py",)
OWNERSHIP = ("tests/reconciler/test_ownership.py",)
FLEETS = ("tests/histories/test_fleet.py",)


BUGS: tuple[Bug, ...] = (
    # --- rule 1: named before done ---
    bug(
        "a key in grace is deleted without having been condemned first",
        "decision/rules/grace.py",
        (
            'return WriteLedger(ledger, (revocation_scheduled(entry.access_key, "grace ended"),))',
            "return DeleteKey(entry.access_key, entry.reason)",
        ),
    ),
    bug(
        "the ledger is written at whatever version it has now",
        "reconciler/runner.py",
        (
            "self._pass.vault.write_ledger(step.ledger, cas=observation.ledger_version)",
            "self._pass.vault.write_ledger(step.ledger, cas=self._pass.vault.read_ledger(self._pass.spec.application)[1])",
        ),
    ),
    bug(
        "a refused check-and-set of the claim is taken for success",
        "reconciler/runner.py",
        (
            "        version = self._pass.vault.write_ledger(step.ledger, cas=observation.ledger_version)\n",
            (
                "        try:\n            version = self._pass.vault.write_ledger(step.ledger, cas=observation.ledger_version)\n        except (Conflict, Indeterminate):\n            version = observation.ledger_version + 1\n"
            ),
        ),
    ),
    # --- rules 2 and 3: claim, create once ---
    bug(
        "a create whose answer was lost is sent again",
        "reconciler/issuance.py",
        (
            "            unclear = isinstance(error, Indeterminate)\n",
            (
                "            unclear = isinstance(error, Indeterminate)\n            if unclear:\n"
                "                self._pass.in_flight = replace(in_flight, posted=False)\n                return\n"
            ),
        ),
    ),
    bug(
        "the marker names the version before the base",
        "decision/rules/in_flight.py",
        (
            "            state.observation.installation, state.spec.application, intent.id, intent.base, intent.incarnation\n",
            "            state.observation.installation,\n            state.spec.application,\n            intent.id,\n            max(intent.base - 1, 0),\n            intent.incarnation,\n",
        ),
    ),
    bug(
        "a claim of somebody else is taken over at once",
        "decision/state.py",
        (
            "        return intent.claimed_at + timeout\n",
            "        return self.now\n",
        ),
        deep=True,
    ),
    # --- rule 4: prove ---
    bug(
        "a new key is published without a published_probe",
        "decision/rules/in_flight.py",
        ("return PublishKey() if in_flight.verified else VerifyKey()", "return PublishKey()"),
    ),
    bug(
        "an answer that says nothing counts as a published_probe of life",
        "reconciler/issuance.py",
        (
            "in_a_row = in_a_row + 1 if verdict is ProbeResult.VALID else 0\n",
            "in_a_row = in_a_row + 1 if verdict is ProbeResult.VALID else 0\n            else:\n                in_a_row += 1\n",
        ),
    ),
    bug(
        "a key that never comes alive is published all the same",
        "reconciler/issuance.py",
        (
            "self._pass.in_flight = replace(in_flight, failure=RotationFailure(Reason.VERIFICATION_FAILED, message))",
            "self._pass.in_flight = replace(in_flight, verified=True, publish_by=now + self._pass.spec.publish_timeout)",
        ),
    ),
    # --- rule 5: publish ---
    bug(
        "publish without check-and-set: at whatever version the document has now",
        "reconciler/issuance.py",
        (
            "if document is not None and same and (document.version, document.state) == (base, observation.document.state):",
            "if document is not None:",
        ),
        ("fields, cas=base)", "fields, cas=document.version)"),
    ),
    bug(
        "a publish whose answer was lost is committed without looking",
        "reconciler/issuance.py",
        (
            "            document = yield from self._read_patiently(self._held(), self._pass.read_document)\n        if document is None:",
            "            document = replace(document, version=base + 1, access_key=key.access_key, secret=secret)\n        if document is None:",
        ),
    ),
    bug(
        "a publish that may have arrived is forgotten, and its key condemned at once",
        "decision/rules/in_flight.py",
        (
            "if in_flight and in_flight.key and not in_flight.publish_sent and not ledger.is_revoking(in_flight.key.access_key):",
            "if in_flight and in_flight.key and not ledger.is_revoking(in_flight.key.access_key):",
        ),
    ),
    bug(
        "a conflict on the publish counts as never published",
        "reconciler/issuance.py",
        (
            '                self._pass.emit("pass.interrupted", kind=error.kind, message=str(error))\n            except ServiceError as error:',
            "                self._pass.in_flight = in_flight = replace(in_flight, publish_sent=sent_before)\n            except ServiceError as error:",
        ),
        tests=("tests/reconciler/test_protocol.py::test_r5_a_lost_publish_answer_is_settled_by_looking",),
    ),
    # --- rule 6: the ledger follows the document ---
    bug(
        "the old key's grace counts from the day that the new one was created",
        "decision/transitions/publication.py",
        (
            "    deadline = grace_deadline(spec, clocks, since)\n",
            "    deadline = key.created_at + spec.grace if key and marker else grace_deadline(spec, clocks, since)\n",
        ),
    ),
    bug(
        "the old key's grace counts from when it became current",
        "decision/transitions/publication.py",
        (
            'RetiringKey(old.access_key, old.version, deadline, "replaced")',
            'RetiringKey(old.access_key, old.version, old.since + spec.grace, "replaced")',
        ),
    ),
    bug(
        "a rotation that somebody else finished leaves the old key behind",
        "decision/transitions/publication.py",
        (
            "    if old is not None and not ledger.is_revoking(old.access_key) and",
            "    if old is not None and done and not ledger.is_revoking(old.access_key) and",
        ),
        tests=("tests/reconciler/test_protocol.py::test_r6_b_a_key_of_this_bearer_written_by_hand_is_followed",),
    ),
    bug(
        "the published key is followed without trying its secret",
        "decision/rules/document.py",
        ("    if not state.published_just_verified_here:\n", "    if False:\n"),
    ),
    bug(
        "a key that was published again meanwhile keeps its old deadline",
        "decision/transitions/publication.py",
        ("    return entry.access_key in meanwhile or (more and", "    return False and (more and"),
    ),
    # --- rule 7: the fence ---
    bug(
        "no fence: a key that may still be published counts as a leftover",
        "decision/classification.py",
        ("        return Disposition.POSSIBLE\n", "        return Disposition.ORPHANED\n"),
    ),
    bug(
        "what a lost attempt left behind lives until the calendar's next rotation",
        "decision/rules/rotation.py",
        ("    if not (quiet and", "    if True or not (quiet and"),
    ),
    bug(
        "the fence does not wait until nobody can be at the rotation any more",
        "decision/rules/rotation.py",
        (
            " if key.access_key in state.possibly_pending)\n        + state.spec.stale_claim_timeout",
            " if key.access_key in state.possibly_pending)",
        ),
        tests=("tests/decision/test_decide.py::test_i4_no_rotation_that_may_be_under_way_is_fenced_off",),
    ),
    bug(
        "what cannot be told counts as a leftover",
        "decision/classification.py",
        (
            "    if successor is None or successor.state is not DocumentState.LIVE:\n        return Disposition.ASSUMED\n",
            "    if successor is None or successor.state is not DocumentState.LIVE:\n        return Disposition.ORPHANED\n",
        ),
        tests=("tests/reconciler/test_protocol.py::test_r7_what_cannot_be_told_is_assumed_to_have_been_published",),
    ),
    bug(
        "a key that was published, and that the ledger does not name, counts as a leftover",
        "decision/classification.py",
        ("        return Disposition.PUBLISHED\n", "        return Disposition.ORPHANED\n"),
    ),
    bug(
        "a found key that was published gets no grace",
        "decision/transitions/grace.py",
        (
            "    deadline = grace_deadline(spec, observation.clocks, observation.document.created_time)\n",
            "    deadline = grace_deadline(spec, observation.clocks, observation.document.created_time) - spec.grace\n",
        ),
    ),
    bug(
        "keys by list difference: every key of the bearer that nothing names is ours",
        "decision/observation.py",
        (
            "        marker = parse_marker(key.description)\n",
            '        marker = parse_marker(key.description) or Marker(self.installation, min(applications), "0" * 16, 0, "-")\n',
        ),
    ),
    bug(
        "leftovers are looked for only while a rotation is under way",
        "decision/rules/revocation.py",
        (
            "    if state.unobserved_versions:\n        return ReadVersions(state.unobserved_versions)\n    for key, marker in state.unaccounted_keys:\n",
            (
                "    if state.ledger.intent is None:\n        return None\n    if state.unobserved_versions:\n        return ReadVersions(state.unobserved_versions)\n    for key, marker in state.unaccounted_keys:\n"
            ),
        ),
    ),
    # --- rule 8: revoke ---
    bug(
        "no last look at the document before a DELETE",
        "reconciler/revocation.py",
        (
            (
                "        document = self._pass.find_document(observation.ledger)\n"
                "        if (document.version, document.state) != (observation.document.version, observation.document.state):\n"
                "            raise ObservationStale\n"
            ),
            "        document = observation.document\n",
        ),
    ),
    bug(
        "a key is forgotten once its DELETE was sent",
        "decision/rules/revocation.py",
        (
            "if entry.access_key in state.observation.revoked and entry.access_key != state.published\n    ]",
            "if entry.access_key in state.observation.deleted and entry.access_key != state.published\n    ]",
        ),
        (
            "{entry.access_key: state.observation.revoked[entry.access_key] for entry in revoked}",
            '{entry.access_key: "deleted" for entry in revoked}',
        ),
    ),
    bug(
        "absence from a list counts as revocation",
        "decision/rules/revocation.py",
        (
            "if entry.access_key in state.observation.revoked and entry.access_key != state.published\n    ]",
            "if state.observation.key(entry.access_key) is None and entry.access_key != state.published\n    ]",
        ),
        (
            "{entry.access_key: state.observation.revoked[entry.access_key] for entry in revoked}",
            '{entry.access_key: "not listed" for entry in revoked}',
        ),
    ),
    bug(
        "an answer that says nothing counts as a published_probe of revocation",
        "reconciler/revocation.py",
        (
            "in_a_row = in_a_row + 1 if verdict is ProbeResult.REJECTED else 0\n",
            "in_a_row = in_a_row + 1 if verdict is ProbeResult.REJECTED else 0\n            else:\n                in_a_row += 1\n",
        ),
    ),
    bug(
        "a condemned key is deleted before the ledger has followed the document",
        "decision/state.py",
        (
            "        if not self.ledger_in_sync:\n            return False  #",
            "        if False:\n            return False  #",
        ),
        tests=(
            "tests/histories/test_histories.py::test_i2_nothing_is_deleted_before_the_ledger_has_followed_the_document",
        ),
    ),
    # --- rule 9: compromised ---
    bug(
        "a mark leaves the ledger when its key is condemned, not when it is revoked",
        "decision/transitions/revocation.py",
        (
            "        revoking=(*ledger.revoking, RevokingKey(access_key, version, reason)),\n    )\n",
            (
                "        revoking=(*ledger.revoking, RevokingKey(access_key, version, reason)),\n"
                "        compromised=tuple(mark for mark in ledger.compromised if mark.access_key != access_key),\n    )\n"
            ),
        ),
    ),
    bug(
        "an emergency marks the published key only, not those in grace",
        "operations/commands/contain.py",
        (
            "    keys = named | ({published} if published else set())\n",
            "    keys = frozenset({published} if published else named)\n",
        ),
        tests=(
            "tests/reconciler/test_containment.py::test_r9_whether_a_compromised_key_is_still_published_is_said_where_it_cannot_be_told",
        ),
    ),
    bug(
        "a compromised key is deleted while another process may still publish it",
        "decision/rules/containment.py",
        (
            "            if _is_possibly_pending(state, access_key) or _may_be_made_for_the_document(state, access_key):\n",
            "            if False:\n",
        ),
    ),
    # --- containment, fences and waits ---
    bug(
        "a first key has nothing to be fenced off with",
        "domain/document.py",
        ("            return self.version == 0\n", "            return False\n"),
        tests=(
            "tests/reconciler/test_containment.py::test_c17_a_marked_first_key_is_not_deleted_while_the_process_that_made_it_publishes_it",
        ),
    ),
    bug(
        "what is wrong with the document goes before containment",
        "decision/decide.py",
        (
            "    contain_compromised,\n    expire_hold,\n    configuration_moved,\n    document_unreadable,\n    document_stale,\n",
            "    expire_hold,\n    configuration_moved,\n    document_unreadable,\n    document_stale,\n    contain_compromised,\n",
        ),
        tests=(
            "tests/reconciler/test_containment.py::test_r9_a_compromised_key_in_grace_is_revoked_while_the_document_cannot_be_trusted",
        ),
    ),
    bug(
        "where the document is in doubt, the ledger's current key counts as not published",
        "decision/state.py",
        (
            "        if self.ledger.current is not None and access_key == self.ledger.current.access_key:\n            return False\n",
            "",
        ),
        tests=(
            "tests/reconciler/test_containment.py::test_i1_the_ledgers_current_key_is_not_revoked_while_the_document_is_older_whoever_made_it",
        ),
    ),
    bug(
        "a published key is revoked first, whatever keeps another one from being made",
        "decision/rules/containment.py",
        ("if access_key == state.published and not replaceable(state):", "if False:"),
        tests=(
            "tests/reconciler/test_containment.py::test_r8_a_published_key_is_not_revoked_first_when_no_other_could_be_published",
        ),
    ),
    bug(
        "an account that does not know the keys contains them",
        "decision/rules/containment.py",
        ("    if ledger.account != state.spec.account:\n", "    if False:\n"),
        tests=("tests/reconciler/test_containment.py::test_r9_nothing_is_contained_at_another_account",),
    ),
    bug(
        "a wait does not see that the ledger has changed",
        "reconciler/pass_state.py",
        ("if self.local_state.look_again or self.ledger_changed():", "if self.local_state.look_again:"),
        tests=("tests/reconciler/test_containment.py::test_r9_a_pass_that_waits_sees_a_mark_within_a_retry_interval",),
    ),
    bug(
        "a wait does not end when another observation is asked for",
        "reconciler/pass_state.py",
        ("if self.local_state.look_again or self.ledger_changed():", "if self.ledger_changed():"),
        tests=("tests/reconciler/test_containment.py::test_r9_a_pass_that_waits_observes_at_once_when_asked_to",),
    ),
    bug(
        "a difference of clocks stays as it was when our clock is set",
        "http/service_clock.py",
        ("return difference - step if abs(step) >= SHORTEST_STEP else difference", "return difference"),
        tests=(
            "tests/reconciler/test_containment.py::test_r13_our_clock_takes_the_clocks_of_the_services_nowhere_when_it_is_set_after_their_answers",
        ),
    ),
    bug(
        "contained is said although a marked key is published",
        "operations/commands/contain.py",
        (
            "    if (\n        outcome.error\n        or ledger is None\n        or document is None\n        or _still_marked(outcome, keys)\n        or document.published in keys\n    ):\n",
            "    if outcome.error or ledger is None or document is None or _still_marked(outcome, keys):\n",
        ),
        tests=(
            "tests/reconciler/test_containment.py::test_i3_contained_is_not_said_while_a_marked_key_is_what_consumers_read",
        ),
    ),
    bug(
        "that the POST was sent is remembered only after its answer",
        "reconciler/issuance.py",
        (
            "        self._pass.in_flight = in_flight = replace(in_flight, posted=True)",
            "        in_flight = replace(in_flight, posted=True)",
        ),
        tests=(
            "tests/reconciler/test_containment.py::test_r3_a_process_that_is_killed_while_it_creates_never_creates_again_for_the_same_claim",
        ),
    ),
    # --- failures, time, hands ---
    bug(
        "a failure is not counted, so nothing is ever too soon",
        "decision/transitions/rotation.py",
        (
            "    after = replace(ledger, intent=None, failures=failures, not_before=now + pause, problem=problem)\n",
            "    after = replace(ledger, intent=None, failures=failures, not_before=now, problem=problem)\n",
        ),
    ),
    bug(
        "deadlines pass by our clock alone",
        "decision/observation.py",
        ("        return self.earliest >= deadline\n", "        return self.ours >= deadline\n"),
        ("        return max(self.ours, self.vault, self.provider)\n", "        return self.ours\n"),
    ),
    bug(
        "an operator's hold keeps rotations back, but no revocations",
        "decision/rules/grace.py",
        (
            "    if state.on_hold or not state.trusted_clocks or state.urgent_mode:\n",
            "    if not state.trusted_clocks or state.urgent_mode:\n",
        ),
    ),
    bug(
        "a hold ends by the clock that is furthest ahead",
        "decision/state.py",
        ("self.ledger.held(self.observation.clocks.earliest)", "self.ledger.held(self.observation.clocks.latest)"),
        tests=("tests/decision/test_hold.py",),
    ),
    bug(
        "of two holds the one that ends sooner counts",
        "domain/ledger.py",
        (
            "other.until is not None and other.until <= one.until)",
            "other.until is not None and other.until > one.until)",
        ),
        tests=("tests/decision/test_hold.py",),
    ),
    bug(
        "a held application is not looked at when its hold ends",
        "decision/next_action.py",
        ("NextAction(min(horizon, ends), ", "NextAction(horizon, "),
        tests=("tests/decision/test_hold.py",),
    ),
    bug(
        "a document older than what the ledger knows is believed",
        "decision/rules/document.py",
        ("    if version < known:\n", "    if version < 0:\n"),
    ),
    bug(
        "a rotation that is over is never forgotten",
        "reconciler/runner.py",
        (
            "            case DiscardInFlight():\n                self._pass.in_flight = None\n",
            "            case DiscardInFlight():\n                pass\n",
        ),
    ),
    # --- the schedule ---
    bug(
        "what is late is put off from the time at which it is looked at",
        "domain/due_time.py",
        ("        turn = base + period * (number", "        turn = max(base, now) + period * (number"),
    ),
    bug(
        "a turn is over the moment that it begins",
        "domain/due_time.py",
        ("        if now <= turn + slack:\n", "        if now < turn:\n"),
    ),
    bug(
        "late rotations begin at once, all of them",
        "domain/due_time.py",
        ("    if period <= slack or (exact and now <= base + slack):\n", "    if period <= slack or exact:\n"),
        tests=("tests/domain/test_schedule.py::test_c10_what_is_late_is_spread_whatever_made_it_late",),
    ),
    bug(
        "what waited for its window begins at its opening, all of it",
        "domain/due_time.py",
        ("min(found.spread, closes - base), exact=opens < base)", "min(found.spread, closes - base), exact=True)"),
        tests=(
            "tests/domain/test_schedule.py::test_c10_what_waited_for_its_window_is_spread_from_its_opening_and_in_it",
        ),
    ),
    bug(
        "a late rotation takes its turn whether its window is open or not",
        "domain/due_time.py",
        (
            "    if spec.window is None:\n        at = _turn",
            "    if spec.window is None or now > found.at:\n        at = _turn",
        ),
        tests=("tests/domain/test_schedule.py::test_a_rotation_that_missed_its_window_waits_for_the_next",),
    ),
    bug(
        "an expiring key waits for its turn until it has expired",
        "domain/due_time.py",
        ("(current.expires_at - found.deadline) / 2)", "(current.expires_at - found.deadline) * 2)"),
        tests=(
            "tests/domain/test_schedule.py::test_c10_an_expiring_key_is_not_put_off_beyond_half_of_the_time_that_is_left_to_it",
        ),
    ),
    bug(
        "one round spreads like a daemon that goes on",
        "daemon/engine.py",
        (
            "replace(spec, startup_spread=timedelta(0)) if self.once else spec",
            "replace(spec, startup_spread=timedelta(0)) if not self.once else spec",
        ),
        tests=("tests/daemon/test_spread.py::test_c10_one_round_rotates_whatever_is_overdue",),
    ),
    bug(
        "health judges what is planned, and not what the policy wants",
        "daemon/health_rounds.py",
        (" or _is_overdue(task.summary, now, tolerance):", ":"),
        tests=("tests/daemon/test_spread.py::test_c10_a_rotation_that_the_plan_puts_off_is_overdue_by_the_policy",),
    ),
    # --- who owns a bearer and a document ---
    bug(
        "a removed application acts although a configured one has its bearer",
        "decision/rules/ownership.py",
        ("    if spec.owner or state.ledger.successor:\n", "    if state.ledger.successor:\n"),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_removed_application_never_acts_on_what_a_configured_one_owns",
        ),
    ),
    bug(
        "a superseded ledger is still acted by",
        "decision/rules/ownership.py",
        ("    if spec.owner or state.ledger.successor:\n", "    if spec.owner:\n"),
        tests=("tests/reconciler/test_ownership.py::test_c5_a_process_that_still_has_the_old_name_stops_and_says_so",),
    ),
    bug(
        "the old ledger is emptied before its content is copied",
        "decision/ownership.py",
        (
            "return SupersedeLedger(replace(theirs, successor=spec.application, intent=None), other.version)",
            "return SupersedeLedger(emptied(replace(theirs, successor=spec.application)), other.version)",
        ),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_renamed_application_keeps_its_grace_its_hold_its_marks_and_its_history",
        ),
    ),
    bug(
        "a takeover leaves the keys in grace behind",
        "decision/ownership.py",
        ("    promised = list(theirs.retiring)\n", "    promised = list[RetiringKey]()\n"),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_renamed_application_keeps_its_grace_its_hold_its_marks_and_its_history",
        ),
    ),
    bug(
        "a takeover leaves the marks of an emergency behind",
        "decision/ownership.py",
        (
            'compromised=_united(ledger.compromised, theirs.compromised, "access_key"),',
            "compromised=ledger.compromised,",
        ),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_renamed_application_keeps_its_grace_its_hold_its_marks_and_its_history",
        ),
    ),
    bug(
        "a takeover leaves the keys that are about to be revoked behind",
        "decision/ownership.py",
        ("    for revoking_key in theirs.revoking:\n", "    for revoking_key in ():\n"),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_key_that_is_about_to_be_revoked_when_its_application_is_renamed_is_revoked_under_the_new_name",
        ),
    ),
    bug(
        "the old ledger is superseded without having been announced",
        "decision/ownership.py",
        (
            "return WriteLedger(ledger.with_predecessor(replace(known or _predecessor(theirs), taken_over=False)))",
            "return SupersedeLedger(replace(theirs, successor=spec.application, intent=None), other.version)",
        ),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_renamed_application_keeps_its_grace_its_hold_its_marks_and_its_history",
        ),
    ),
    bug(
        "what a takeover has announced is found in a list only",
        "reconciler/ledger_directory.py",
        ("for name in dict.fromkeys((*names, *announced)):", "for name in dict.fromkeys(names):"),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_i1_a_ledger_that_a_takeover_has_announced_is_read_by_its_name_when_the_list_lacks_it",
        ),
    ),
    bug(
        "a ledger of an earlier name that cannot be read is taken for absent",
        "decision/rules/ownership.py",
        ("    if observation.unread_ledgers:\n", "    if False:\n"),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_i1_an_announced_ledger_that_cannot_be_read_stops_everything_but_an_emergency",
        ),
    ),
    bug(
        "a predecessor that is only announced here hides what is known of it there",
        "decision/ownership.py",
        ("taken_over.get(one.application, one)", "one"),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_i1_a_predecessor_that_was_only_announced_is_known_better_by_the_ledger_that_took_it_over",
        ),
    ),
    bug(
        "a key without a marker cannot be one that another process is about to publish",
        "decision/rules/containment.py",
        ("    return younger and _can_be_fenced(state, access_key)\n", "    return False\n"),
        tests=(
            "tests/reconciler/test_containment.py::test_c17_a_marked_key_whose_marker_a_person_edited_is_not_deleted_while_its_maker_publishes_it",
        ),
    ),
    bug(
        "a document in doubt is moved on by a fence",
        "decision/rules/containment.py",
        (" and not state.document_in_doubt and not held\n", " and not held\n"),
        tests=(
            "tests/reconciler/test_containment.py::test_c17_a_restored_document_is_not_fenced_and_its_newest_key_stays_valid",
        ),
    ),
    bug(
        "a fence serves only until the document has another version",
        "decision/rules/containment.py",
        ("fence.version <= document.version", "fence.version == document.version"),
        tests=("tests/decision/test_decide.py::test_c17_a_marked_key_is_revoked_without_a_fence",),
    ),
    bug(
        "a fence that is refused ends the pass before its other duties",
        "reconciler/issuance.py",
        (
            "        except (PermissionDenied, Rejected) as error:\n            self._pass.refused_fence",
            "        except NotFound as error:\n            self._pass.refused_fence",
        ),
        tests=(
            "tests/reconciler/test_containment.py::test_c17_a_fence_that_is_refused_stops_no_other_duty_and_the_marked_key_is_revoked",
        ),
    ),
    bug(
        "a command whose mark is contained before it reads it back marks the replacement",
        "operations/commands/contain.py",
        ("        attempts.add((incident, at))\n", ""),
        tests=(
            "tests/cli/test_rotate.py::test_a_replacement_is_not_marked_by_a_command_that_reads_its_mark_back_late",
        ),
    ),
    bug(
        "an emergency that a daemon cannot finish is left to it by the others",
        "daemon/presence.py",
        ("summary is None or summary.urgent or task.crashes", "summary is None or task.crashes"),
        tests=("tests/daemon/test_looks.py",),
    ),
    bug(
        "what a daemon remembers as overdue is left to another one, and goes on being called overdue",
        "daemon/application_task.py",
        ("        if summary.overdue_at is not None and summary.overdue_at <= now:\n", "        if False:\n"),
        tests=("tests/daemon/test_looks.py",),
    ),
    bug(
        "looks that were left to a daemon that is gone wait for their next turn",
        "daemon/engine.py",
        ("self.shares.take_back(task, _now()) or (_now() if lost else None)", "_now() if lost else None"),
        tests=("tests/daemon/test_looks_left.py",),
    ),
    bug(
        "a look is left to a daemon that has another configuration",
        "daemon/presence_keeper.py",
        ("        if unlike:\n", "        if False:\n"),
        tests=("tests/daemon/test_shared_looks.py",),
    ),
    bug(
        "a fence relies on the ledger as it was",
        "reconciler/issuance.py",
        ("        if ledger_version != observation.ledger_version:\n", "        if False:\n"),
        tests=(
            "tests/reconciler/test_protocol.py::test_r7_a_fence_does_not_cut_off_a_rotation_that_was_claimed_since_the_ledger_was_read",
        ),
    ),
    bug(
        "a key that was made under an earlier name is a stranger's",
        "decision/state.py",
        (
            "return frozenset({self.spec.application, *(one.application for one in self.ledger.predecessors)})",
            "return frozenset({self.spec.application})",
        ),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_a_key_that_was_made_under_the_old_name_and_never_published_is_found_and_revoked",
        ),
    ),
    bug(
        "a key of a former document is revoked when its grace ends",
        "decision/rules/grace.py",
        ("        if entry.access_key in state.ledger.published_elsewhere():\n            continue\n", ""),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_i2_a_key_of_a_former_document_gets_its_grace_from_when_it_is_gone_from_there",
        ),
    ),
    bug(
        "the grace of a key that leaves a former document does not begin anew",
        "decision/rules/ownership.py",
        (
            "replace(entry, revoke_after=max(entry.revoke_after, deadline)) if entry.access_key == key else entry",
            "entry",
        ),
        tests=(
            "tests/reconciler/test_ownership.py::test_c5_i2_a_key_of_a_former_document_gets_its_grace_from_when_it_is_gone_from_there",
        ),
    ),
    bug(
        "the key that an account logs in with may be revoked",
        "domain/keys.py",
        (" and not self.manages_account", ""),
        tests=(
            "tests/reconciler/test_management_key.py::test_c20_a_rotation_replaces_the_management_key_and_its_grace_never_ends_in_a_revocation",
        ),
    ),
    bug(
        "a published key that its account does not have is left to the calendar",
        "decision/rules/document.py",
        ("and observation.presence is Presence.GONE\n            and not state.published_is_compromised", "and False"),
        tests=(
            "tests/reconciler/test_wrong_account.py::test_c5_a_key_that_another_organisation_does_not_list_is_not_gone",
        ),
    ),
    bug(
        "a key is gone although its account does not know the bearer",
        "reconciler/revocation.py",
        (
            "        if secret is None and not self._pass.provider.bearer_exists(self._pass.spec.bearer):\n",
            "        if False:\n",
        ),
        tests=(
            "tests/reconciler/test_wrong_account.py::test_i3_an_emergency_in_another_organisation_is_not_called_contained",
        ),
    ),
    bug(
        "a removed application drops a claim as soon as a configured one would",
        "decision/ownership.py",
        ("        stale_claim_timeout=REMOVED_CLAIM_TIMEOUT,\n", ""),
        tests=("tests/decision/test_ownership.py::test_a_removed_application_is_what_its_ledger_says",),
    ),
    bug(
        "an empty ledger of an earlier name is taken over before the one that knows what its document publishes",
        "decision/ownership.py",
        (
            "    for other in sorted(related, key=lambda other: is_emptied(other.ledger)):\n",
            "    for other in related:\n",
        ),
        tests=FLEETS,
    ),
    bug(
        "a command takes ledgers over for a name that was given to another bearer",
        "decision/ownership.py",
        ("    if ledger.bearer != spec.bearer:\n", "    if False:\n"),
        tests=OWNERSHIP,
    ),
    bug(
        "what leaves a former document gets the grace of whichever application has the name",
        "decision/rules/ownership.py",
        ("    if state.ledger.bearer != spec.bearer:\n", "    if False:\n"),
        tests=OWNERSHIP,
    ),
    # --- what the store allows ---
    bug(
        "the history is not trimmed, and the server refuses the ledger",
        "vault/budget.py",
        ("        while dropped < len(past) and (", "        while False and ("),
        tests=(
            "tests/reconciler/test_stored_documents.py::test_c1_an_emergency_on_a_full_ledger_is_marked_and_contained",
        ),
    ),
    bug(
        "an open incident is dropped like a closed one",
        "vault/budget.py",
        (
            "for number, incident in enumerate(ledger.incidents) if incident.closed_at]",
            "for number, _ in enumerate(ledger.incidents)]",
        ),
        tests=(
            "tests/reconciler/test_stored_documents.py::test_c1_a_server_that_takes_less_drops_history_and_never_the_mark",
        ),
    ),
    bug(
        "the newest history goes first",
        "vault/budget.py",
        (
            "return _reductions(dump_ledger(ledger), [*history[:-LATEST_HISTORY], *closed, *history[-LATEST_HISTORY:]])",
            "return _reductions(dump_ledger(ledger), [*reversed(history), *closed])",
        ),
        tests=(
            "tests/reconciler/test_stored_documents.py::test_c1_a_ledger_that_is_over_the_budget_is_read_and_the_next_write_brings_it_below",
        ),
    ),
    bug(
        "a marker of version 1 is not understood any more",
        "domain/marker.py",
        (
            "    found = _VERSION_2.fullmatch(description) or _VERSION_1.fullmatch(description)\n",
            "    found = _VERSION_2.fullmatch(description)\n",
        ),
        tests=(
            "tests/reconciler/test_protocol.py::test_r2_keys_that_bear_a_marker_of_version_1_are_known_and_revoked_like_others",
        ),
    ),
    bug(
        "a long purpose cuts off the marker",
        "domain/marker.py",
        (
            '        return f"{_shortened(_plain(purpose), room)} {marker}".lstrip()\n',
            '        return f"{_plain(purpose)} {marker}".lstrip()[:LIMIT]\n',
        ),
        tests=(
            "tests/reconciler/test_protocol.py::test_r2_whatever_the_purpose_contains_a_leftover_is_known_by_its_marker",
        ),
    ),
    bug(
        "a document that expires is not written again in time",
        "decision/rules/rotation.py",
        ("    renew = state.observation.clocks.vault >= half and", "    renew = False and"),
        tests=(
            "tests/reconciler/test_stored_documents.py::test_c3_a_document_whose_versions_expire_is_written_again_in_time_and_the_problem_is_named",
        ),
    ),
    bug(
        "an emergency waits for the setting of a mount",
        "decision/decide.py",
        (
            "    rotate_urgently,\n    key_in_other_field,\n",
            "    renew_expiring_document,\n    rotate_urgently,\n    key_in_other_field,\n",
        ),
        ("    classify_unaccounted_keys,\n    renew_expiring_document,\n", "    classify_unaccounted_keys,\n"),
        tests=(
            "tests/reconciler/test_stored_documents.py::test_c3_an_emergency_does_not_wait_for_the_setting_of_a_mount",
        ),
    ),
    # --- bulkheads: no account delays another ---
    bug(
        "all accounts share one pool of workers",
        "daemon/pools.py",
        ('    return Pool(f"passes of {account}", workers)\n', '    return Pool("passes", workers)\n'),
        tests=BULKHEADS,
    ),
    bug(
        "all accounts share the workers for emergencies",
        "daemon/pools.py",
        ('Pool(f"emergencies of {account}", max(1, workers // 4))', 'Pool("emergencies", max(1, workers // 4))'),
        tests=BULKHEADS,
    ),
    bug(
        "all services share one worker for probes",
        "daemon/pools.py",
        ('    return Pool(f"probe of {service}", 1)\n', '    return Pool("probes", 1)\n'),
        tests=BULKHEADS,
    ),
    bug(
        "an event is emitted under the lock of the engine",
        "daemon/service_monitor.py",
        (
            (
                "            self._answered(problem is None)\n        if news and problem is not None:\n"
                '            self._sink.emit("service.down", service=name, kind=problem.kind, message=str(problem))\n'
            ),
            (
                "            self._answered(problem is None)\n            if news and problem is not None:\n"
                '                self._sink.emit("service.down", service=name, kind=problem.kind, message=str(problem))\n'
                "        if news and problem is not None:\n            pass\n"
            ),
        ),
        tests=BULKHEADS,
    ),
    bug(
        "a snapshot waits for the lock of the engine",
        "daemon/engine.py",
        (
            "        return EngineSnapshot(\n",
            "        with self.lock:\n            pass\n        return EngineSnapshot(\n",
        ),
        tests=BULKHEADS,
    ),
    bug(
        "a periodic task that is added anew while it runs is forgotten",
        "daemon/periodic.py",
        ("            elif not self._scheduler.has(job):\n", "            elif False:\n"),
        tests=BULKHEADS,
    ),
    bug(
        "the quota is asked under the lock that creates and deletes take",
        "providers/scaleway/quota.py",
        (
            "        try:\n            free = self._count()\n        except Unavailable:\n            with self._lock:\n",
            (
                "        try:\n            with self._lock:\n                free = self._count()\n"
                "        except Unavailable:\n            with self._lock:\n"
            ),
        ),
        tests=("tests/providers/test_quota.py",),
    ),
    bug(
        "the failure of a question is not remembered",
        "util/single_flight.py",
        ("self._failed = (self._now() + self._failure_ttl, error)", "self._failed = (self._now(), error)"),
        tests=("tests/providers/test_quota.py", "tests/util/test_single_flight.py"),
    ),
    bug(
        "who waits for a call makes one more for itself",
        "util/single_flight.py",
        ("                if self._flight is None:\n", "                if True:\n"),
        tests=("tests/providers/test_quota.py", "tests/util/test_single_flight.py"),
    ),
    bug(
        "a command gives all accounts the same threads",
        "util/concurrency.py",
        ("        lanes.setdefault(lane(item), SimpleQueue())", "        lanes.setdefault(None, SimpleQueue())"),
        tests=("tests/util/test_concurrency.py",),
    ),
    bug(
        "coverage is complete although only some of the keys were listed",
        "operations/coverage.py",
        (
            "        return not self.open and not self.gap\n",
            "        return not self.open and not self.missing\n",
        ),
        tests=("tests/cli/test_mass_rotation.py",),
    ),
    bug(
        "the proof of chosen applications forgets keys of their bearers that are old",
        "operations/coverage.py",
        (
            "rows=tuple(row for row in self.rows if row.key.bearer in bearers),",
            "rows=tuple(row for row in self.rows if row.key.bearer in bearers and row.kind != 'unmanaged'),",
        ),
        tests=("tests/cli/test_mass_rotation.py",),
    ),
    # --- a key in a field that the configuration does not name ---
    bug(
        "a first key is made beside the key that consumers read in another field",
        "decision/decide.py",
        ("    key_in_other_field,\n    delete_revoking_keys,", "    delete_revoking_keys,"),
        tests=OTHER_FIELDS,
    ),
    bug(
        "a leaked key that consumers read in another field is revoked before there is another",
        "decision/state.py",
        ("return access_key not in self.keys_in_other_fields or self.was_published(access_key)", "return True"),
        tests=OTHER_FIELDS,
    ),
    bug(
        "whoever writes a key's name into another field keeps it from being contained",
        "decision/state.py",
        (
            "return access_key not in self.keys_in_other_fields or self.was_published(access_key)",
            "return access_key not in self.keys_in_other_fields",
        ),
        tests=OTHER_FIELDS,
    ),
    bug(
        "an emergency by name is about the one key of two that rotator knows",
        "operations/commands/contain.py",
        ("    if by_name and document:\n", "    if by_name and document and not named:\n"),
        tests=OTHER_FIELDS,
    ),
    # --- the key that the daemon itself logs in with ---
    bug(
        "the account changes over to a published key that does not authenticate",
        "providers/management_key.py",
        (" and authenticate(published.access_key, published.secret) is ProbeResult.VALID:", ":"),
        tests=OWN_KEY,
    ),
    bug(
        "the key that the account logs in with is deleted",
        "providers/management_key.py",
        (
            "            if access_key == self._key.in_use:\n                raise",
            "            if not access_key:\n                raise",
        ),
        tests=OWN_KEY,
    ),
    bug(
        "an own key that is to be revoked first is waited for instead of replaced",
        "providers/management_key.py",
        ("replaced=wanted != access_key", "replaced=True"),
        tests=OWN_KEY,
    ),
    bug(
        "a daemon never changes over to the key that it published",
        "providers/management_key.py",
        ("            self._pair = published", "            pass"),
        tests=OWN_KEY,
    ),
    bug(
        "the key of the first login is not tried when the published one is refused",
        "providers/management_key.py",
        ("(published != used or self._initial is None)", "True"),
        tests=OWN_KEY,
    ),
    bug(
        "a new management key is published that may not list keys",
        "reconciler/issuance.py",
        ("if in_a_row >= verification.successes and not lacking:", "if in_a_row >= verification.successes:"),
        tests=OWN_KEY,
    ),
    # --- the secret id that the daemon itself logs in with ---
    bug(
        "a drill destroys the secret id that other machines log in with",
        "vault/secret_id_rotation.py",
        ("0 if spare_configured else self", "self"),
        tests=SECRET_ID,
    ),
    bug(
        "a secret id is used before it has logged in",
        "vault/secret_id_rotation.py",
        ("        if not login.ok:", "        if login is None:"),
        tests=SECRET_ID,
    ),
    bug(
        "a former secret id is destroyed without its grace",
        "vault/secret_ids.py",
        ("FormerSecretId(held.current, now + policy.grace)", "FormerSecretId(held.current, now)"),
        tests=SECRET_ID,
    ),
    bug(
        "a secret id that a crash left behind is forgotten",
        "vault/secret_ids.py",
        ("    if held.pending is not None:\n        return Step.REGISTER\n", ""),
        tests=SECRET_ID,
    ),
    bug(
        "every rotation destroys the secret id that other machines log in with",
        "vault/secret_id_rotation.py",
        (
            "                    case Step.WAIT if compromised:",
            "                    case Step.WAIT if compromised or destroyed:",
        ),
        tests=SECRET_ID,
    ),
    bug(
        "a secret id that root has made cannot be read by the service",
        "vault/secret_ids.py",
        ("        if os.geteuid() != folder.st_uid:", "        if folder is None:"),
        tests=SECRET_ID,
    ),
    bug(
        "two processes of one machine rotate its secret id at the same time",
        "vault/secret_id_rotation.py",
        ("            if not alone:", "            if alone is None:"),
        tests=SECRET_ID,
    ),
    bug(
        "the history keeps three things that happened",
        "domain/ledger.py",
        ("HISTORY_LIMIT = 50\n", "HISTORY_LIMIT = 3\n"),
        tests=("tests/domain/test_ledger.py",),
    ),
    bug(
        "one incident is kept",
        "domain/ledger.py",
        ("INCIDENT_LIMIT = 20\n", "INCIDENT_LIMIT = 1\n"),
        tests=("tests/domain/test_ledger.py",),
    ),
    bug(
        "a signature is forgotten one tolerance after it was accepted, and is good again",
        "api/webhook_auth.py",
        ("self._accepted[given] = at\n", "self._accepted[given] = now\n"),
        ("self.floor = max(self.floor, self._accepted.pop(given))", "self._accepted.pop(given)"),
        tests=("tests/api/test_webhook_auth.py",),
    ),
    bug(
        "a token near its maximum life is renewed until it ends",
        "vault/login.py",
        ("        if lifetime < CAPPED * login.granted:\n            return None\n", ""),
        tests=(
            "tests/vault/test_refused_login.py::test_c4_a_token_near_its_maximum_life_is_replaced_while_it_still_lives",
        ),
    ),
    bug(
        "one bearer may be configured twice, under two names of its account",
        "config/specs.py",
        (
            "(account.provider, account.organization_id, self.own",
            "(account.provider, str(account.secret_key), str(id(account)), self.own",
        ),
        tests=("tests/config/test_loader.py::test_a_mistake_is_told_alone_with_its_path_and_its_remedy",),
    ),
    bug(
        "a probe that a reload overtook speaks of the new configuration",
        "daemon/service_monitor.py",
        (
            "            if self.services.get(name) is not service:\n                return timedelta(0)  # a reload came between\n",
            "",
        ),
        tests=("tests/daemon/test_service_monitor.py",),
    ),
    bug(
        "the same trouble is told again after ten years",
        "observability/notifications/digest.py",
        ("REMIND = timedelta(days=1)", "REMIND = timedelta(days=3650)"),
        tests=("tests/observability/notifications/test_digest.py",),
    ),
    bug(
        "an idle connection is used again for ten minutes",
        "http/client.py",
        ("KEEP_ALIVE = timedelta(seconds=20)", "KEEP_ALIVE = timedelta(minutes=10)"),
        tests=("tests/http/test_client.py::test_a_connection_is_used_again_after_seconds_and_not_after_a_minute",),
    ),
)


def hunt(planted: Bug, directory: Path) -> Found:
    """Plant the bug in a copy of the program below ``directory``, and look for it."""
    for name in ("rotator", "tests"):
        # With what is compiled already, but not what another process is just writing.
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    planted.plant(directory)
    done = subprocess.run(
        [sys.executable, "-m", "tests.proof.hunt", *planted.tests],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(directory), "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 0, f"{planted.name}: the hunt itself broke:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return Found(bug=planted, **json.loads(done.stdout.splitlines()[-1]))


def hunt_in_a_copy(planted: Bug) -> Found:
    """The same in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="rotator-planted-") as directory:
        return hunt(planted, Path(directory))


def line(found: Found) -> str:
    """One line for a person."""
    after = f"{found.states:,} states" + (f", {found.histories} histories" if found.histories else "")
    return f"{'caught' if found.check else 'MISSED':7} {found.bug.name}\n        by {found.check} after {after}: {found.message[:110]}"


def main(words: Sequence[str]) -> int:
    """Hunt the chosen bugs, two at a time; 1 when one got away."""
    chosen = [planted for planted in BUGS if not words or any(word in planted.name for word in words)]
    missed = 0
    with ThreadPoolExecutor(max_workers=int(os.environ.get("ROTATOR_PROVE_WORKERS", "2"))) as pool:
        for found in pool.map(hunt_in_a_copy, chosen):
            missed += found.check is None
            print(line(found), flush=True)  # noqa: T201  # a tool that people run
    print(f"{len(chosen) - missed} of {len(chosen)} planted bugs caught")  # noqa: T201  # a tool that people run
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
