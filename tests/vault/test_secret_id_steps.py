"""Each step of the rotation of the login's own secret id, as whole files, calls, events and messages."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, PermissionDenied, Refused, ServiceError
from rotator.vault.responses import Reply
from rotator.vault.secret_id_rotation import KeptSecretId, SecretIdRotation, end_of
from rotator.vault.secret_ids import (
    FormerSecretId,
    SecretIdFile,
    SecretIdPolicy,
    SecretIds,
    Step,
    accepted,
    due_at,
    expedited,
    generated,
    next_step,
    without,
)
from rotator.vault.settings import OwnSecretIdSettings
from tests.support.simulated import Recorder

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = SecretIdPolicy(every=30 * DAY, grace=DAY)
A, B, C, INITIAL = Secret("secret-a"), Secret("secret-b"), Secret("secret-c"), Secret("initial")


def held(current: Secret | None = A, since: datetime | None = NOW, **more: Any) -> SecretIds:
    return SecretIds(current, since, **more)


def former(number: int, destroy_at: datetime = NOW + DAY) -> tuple[FormerSecretId, ...]:
    return tuple(FormerSecretId(Secret(f"former-{one}"), destroy_at) for one in range(number))


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


# --- which step is next ---


@pytest.mark.parametrize(
    ("ids", "ends_at", "due"),
    [
        (SecretIds(), None, None),
        (held(since=None), None, None),
        (held(current=None), None, None),
        (held(), None, NOW + 30 * DAY),
        (held(), NOW + 9 * DAY, NOW + 6 * DAY),
        (held(), NOW + 90 * DAY, NOW + 30 * DAY),
    ],
)
def test_a_secret_id_is_due_after_its_time_or_at_two_thirds_of_its_life(
    ids: SecretIds, ends_at: datetime | None, due: datetime | None
) -> None:
    assert due_at(ids, POLICY, ends_at) == due


@pytest.mark.parametrize(
    ("ids", "after", "ends_at", "wanted", "step"),
    [
        (SecretIds(), timedelta(0), None, False, Step.GENERATE),
        (held(), timedelta(0), None, False, Step.WAIT),
        (held(), timedelta(0), None, True, Step.GENERATE),
        (held(), 30 * DAY - HOUR, None, False, Step.WAIT),
        (held(), 30 * DAY, None, False, Step.GENERATE),
        (held(), 6 * DAY, NOW + 9 * DAY, False, Step.GENERATE),
        (held(pending=B, former=former(1, NOW)), timedelta(0), None, False, Step.REGISTER),
        (held(former=former(1, NOW)), timedelta(0), None, True, Step.DESTROY),
        (held(former=former(1, NOW + HOUR)), timedelta(0), None, False, Step.WAIT),
        (held(former=former(15)), timedelta(0), None, True, Step.GENERATE),
        (held(former=former(16)), timedelta(0), None, True, Step.WAIT),
    ],
)
def test_what_is_held_and_the_time_say_the_next_step(
    ids: SecretIds, after: timedelta, ends_at: datetime | None, wanted: bool, step: Step
) -> None:
    assert next_step(ids, NOW + after, POLICY, ends_at=ends_at, wanted=wanted) is step


def test_each_step_changes_what_is_held_in_this_way() -> None:
    fresh = generated(held(former=former(1)))
    assert fresh.pending is not None
    assert len(fresh.pending.reveal()) == 43
    assert fresh == held(former=former(1), pending=fresh.pending)
    later = NOW + HOUR
    assert accepted(held(pending=B, former=former(1)), later, POLICY) == held(
        B, later, former=(*former(1), FormerSecretId(A, later + DAY))
    )
    assert accepted(SecretIds(pending=B), later, POLICY) == held(B, later)
    assert without(held(former=former(3)), Secret("former-1")) == held(former=(former(3)[0], former(3)[2]))
    assert expedited(held(former=former(2)), later) == held(former=former(2, later))


# --- the file ---

WHOLE = held(pending=B, former=(FormerSecretId(C, NOW + DAY),))
WHOLE_TEXT: dict[str, Any] = {
    "schema": 1,
    "current": "secret-a",
    "since": "2026-11-23T12:00:00+00:00",
    "pending": "secret-b",
    "former": [{"secret": "secret-c", "destroy_at": "2026-11-24T12:00:00+00:00"}],
}


@pytest.mark.parametrize(
    ("ids", "content"),
    [
        (WHOLE, WHOLE_TEXT),
        (SecretIds(), {"schema": 1, "current": None, "since": None, "pending": None, "former": []}),
    ],
)
def test_the_file_holds_all_that_is_held_and_reads_back(
    ids: SecretIds, content: dict[str, Any], tmp_path: Path
) -> None:
    file = SecretIdFile(tmp_path / "secret-id")
    assert file.read() == SecretIds()
    file.write(ids)
    assert json.loads(file.path.read_text()) == content
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.read() == ids
    assert [path.name for path in tmp_path.iterdir()] == ["secret-id"]


DAMAGED = "is damaged: remove it, and the login uses the configured secret_id again"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": "1"},
        {"current": ""},
        {"current": 5},
        {"pending": ""},
        {"since": "soon"},
        {"since": ""},
        {"since": 5},
        {"former": None},
        {"former": [{"secret": "x"}]},
        {"former": [{"secret": "", "destroy_at": "2026-11-24T12:00:00+00:00"}]},
        {"former": [{"secret": "x", "destroy_at": None}]},
        {"former": ["x"]},
    ],
)
def test_a_file_with_anything_else_in_it_is_damaged(change: dict[str, Any], tmp_path: Path) -> None:
    file = SecretIdFile(tmp_path / "secret-id")
    file.write(SecretIds())
    file.path.write_text(json.dumps({**WHOLE_TEXT, **change}))
    with pytest.raises(Refused) as caught:
        file.read()
    assert str(caught.value) == f"the file of the login's secret id, {file.path}, {DAMAGED}"


def test_a_file_of_more_than_64_kib_is_damaged_and_one_below_is_read(tmp_path: Path) -> None:
    file = SecretIdFile(tmp_path / "secret-id")
    file.write(WHOLE)
    text = json.dumps(WHOLE_TEXT)
    file.path.write_text(text + " " * (64 * 1024 - len(text)))
    assert file.read() == WHOLE
    file.path.write_text(" " * (64 * 1024 - len(text) + 1) + text)
    with pytest.raises(Refused, match=DAMAGED):
        file.read()


NEEDED = "the user of the service needs a folder of its own, as own-secret-id.conf makes it"


def test_each_fault_of_the_file_says_what_it_is(tmp_path: Path) -> None:
    missing = SecretIdFile(tmp_path / "no" / "secret-id")
    named = f"the file of the login's secret id, {missing.path},"
    with pytest.raises(Refused) as caught:
        missing.write(WHOLE)
    assert str(caught.value) == f"{named} cannot be written: No such file or directory; {NEEDED}"
    with pytest.raises(Refused) as caught, missing.locked():
        pass
    assert str(caught.value) == f"{named} cannot be locked: No such file or directory; {NEEDED}"
    folder = SecretIdFile(tmp_path / "folder")
    folder.path.mkdir()
    with pytest.raises(Refused) as caught:
        folder.read()
    assert str(caught.value) == f"the file of the login's secret id, {folder.path}, is not a plain file; name one"
    pipe = SecretIdFile(tmp_path / "pipe")
    os.mkfifo(pipe.path)
    with pytest.raises(Refused) as caught:
        pipe.read()
    assert str(caught.value) == f"the file of the login's secret id, {pipe.path}, is not a plain file; name one"
    loop = SecretIdFile(tmp_path / "loop")
    loop.path.symlink_to(loop.path)
    with pytest.raises(Refused) as caught:
        loop.read()
    assert str(caught.value) == (
        f"the file of the login's secret id, {loop.path}, cannot be read: Too many levels of symbolic links"
    )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_file_that_is_left_half_written_is_replaced(tmp_path: Path) -> None:
    file = SecretIdFile(tmp_path / "secret-id")
    (tmp_path / ".secret-id.new").write_text("half")
    file.write(WHOLE)
    assert file.read() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["secret-id"]


def test_the_file_is_changed_by_one_process_at_a_time(tmp_path: Path) -> None:
    one, other = SecretIdFile(tmp_path / "secret-id"), SecretIdFile(tmp_path / "secret-id")
    with one.locked() as alone:
        with other.locked() as also:
            assert (alone, also) == (True, False)
        with other.locked() as also:
            assert not also
    with other.locked() as alone:
        assert alone
    lock = tmp_path / ".secret-id.lock"
    assert lock.stat().st_mode & 0o777 == 0o600
    before = descriptors()
    for _ in range(3):
        with one.locked():
            one.write(WHOLE)
    assert descriptors() == before, "every descriptor is closed"


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.touch()
    (tmp_path / ".secret-id.lock").symlink_to(target)
    file = SecretIdFile(tmp_path / "secret-id")
    with pytest.raises(Refused, match="cannot be locked: Too many levels of symbolic links"), file.locked():
        pass


def test_a_file_that_cannot_be_given_to_the_owner_of_the_folder_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fchown(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    monkeypatch.setattr(os, "fchown", fchown)
    before = descriptors()
    file = SecretIdFile(tmp_path / "secret-id")
    with pytest.raises(Refused, match="cannot be written: Operation not permitted"):
        file.write(WHOLE)
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


# --- the supplier of the login ---


def test_the_login_uses_the_file_or_else_what_is_configured(tmp_path: Path) -> None:
    file = SecretIdFile(tmp_path / "secret-id")
    kept = KeptSecretId(file, lambda: INITIAL)
    assert (kept(), kept.source) == (INITIAL, f"file:{file.path}")
    file.write(held())
    assert kept() == A
    file.write(SecretIds(pending=B))
    with pytest.raises(Refused) as caught:
        KeptSecretId(file, None)()
    assert str(caught.value) == (
        f"file:{file.path} holds no secret id yet, and secret_id is not set: set it for the first login"
    )


# --- the rotation ---

OK = Reply(204)
DENIED = Reply(403, ("1 error occurred",))


@dataclass
class Role:
    """Answers as it is told, and keeps the calls."""

    answers: dict[str, Reply] = field(default_factory=dict)
    ends: datetime | None = None
    calls: list[tuple[str, str, Secret]] = field(default_factory=list)

    def _call(self, name: str, role: str, secret: Secret) -> Reply:
        self.calls.append((name, role, secret))
        return self.answers.get(name, OK)

    def register_secret_id(self, role: str, secret: Secret) -> Reply:
        return self._call("register", role, secret)

    def destroy_secret_id(self, role: str, secret: Secret) -> Reply:
        return self._call("destroy", role, secret)

    def secret_id_end(self, role: str, secret: Secret) -> datetime | None:
        self._call("end", role, secret)
        return self.ends

    def try_secret_id(self, secret: Secret) -> Reply:
        return self._call("try", "", secret)


@dataclass
class Machine:
    """A rotation with its file, its clock and its events."""

    file: SecretIdFile
    role: Role = field(default_factory=Role)
    sink: Recorder = field(default_factory=Recorder)
    now: datetime = NOW

    def rotation(self, initial: Callable[[], Secret] | None = lambda: INITIAL) -> SecretIdRotation:
        settings = OwnSecretIdSettings("rotator", self.file.path, POLICY, self.sink, "team/approle")
        return SecretIdRotation(settings, initial, self.role, lambda: self.now)

    def calls(self) -> list[tuple[str, str, Secret]]:
        found, self.role.calls = self.role.calls, []
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(SecretIdFile(tmp_path / "secret-id"))


def test_the_first_secret_id_is_made_proven_and_used(machine: Machine) -> None:
    machine.rotation().maintain()
    made = machine.file.read()
    assert made.current is not None
    assert made == held(made.current, NOW)
    assert machine.calls() == [
        ("register", "rotator", made.current),
        ("try", "", made.current),
        ("end", "rotator", made.current),
    ]
    assert machine.sink.events == [("login.secret_id_rotated", {"role": "rotator"})]


def test_a_secret_id_is_replaced_when_it_is_due_and_its_end_is_asked_for_once(machine: Machine) -> None:
    machine.file.write(held())
    machine.role.ends = NOW + 9 * DAY
    rotation = machine.rotation()
    rotation.maintain()
    machine.now += 6 * DAY - HOUR
    rotation.maintain()
    assert machine.calls() == [("end", "rotator", A)]
    machine.now += HOUR
    rotation.maintain()
    made = machine.file.read()
    assert made == held(made.current, machine.now, former=(FormerSecretId(A, machine.now + DAY),))
    assert [name for name, _, _ in machine.calls()] == ["register", "try", "end"]


def test_a_former_secret_id_is_destroyed_after_its_grace(machine: Machine) -> None:
    machine.file.write(held(former=(FormerSecretId(B, NOW), FormerSecretId(C, NOW + HOUR))))
    rotation = machine.rotation()
    rotation.maintain()
    assert machine.file.read() == held(former=(FormerSecretId(C, NOW + HOUR),))
    assert machine.calls() == [("end", "rotator", A), ("destroy", "rotator", B)]
    assert machine.sink.events == [("login.secret_id_destroyed", {"role": "rotator"})]


def test_a_person_replaces_it_now_and_is_told_how_many_were_destroyed(machine: Machine) -> None:
    machine.file.write(held(former=(FormerSecretId(B, NOW), FormerSecretId(C, NOW))))
    assert machine.rotation().rotate() == 2
    made = machine.file.read()
    assert made == held(made.current, NOW, former=(FormerSecretId(A, NOW + DAY),))


def test_after_a_leak_every_former_one_and_the_configured_one_are_destroyed_at_once(machine: Machine) -> None:
    machine.file.write(held(former=(FormerSecretId(C, NOW + DAY),)))
    assert machine.rotation().rotate(compromised=True) == 3
    made = machine.file.read()
    assert made == held(made.current, NOW)
    assert [(name, secret) for name, _, secret in machine.calls() if name == "destroy"] == [
        ("destroy", INITIAL),
        ("destroy", C),
        ("destroy", A),
    ]


def test_after_a_leak_without_a_configured_one_there_is_none_to_destroy(machine: Machine) -> None:
    machine.file.write(held())
    assert machine.rotation(None).rotate(compromised=True) == 1


def test_a_secret_id_that_vault_does_not_know_any_more_counts_as_destroyed(machine: Machine) -> None:
    machine.role.answers["destroy"] = Reply(404)
    machine.file.write(held(former=(FormerSecretId(B, NOW),)))
    machine.rotation().maintain()
    assert machine.file.read() == held()


def test_a_registration_that_was_made_before_is_gone_on_with(machine: Machine) -> None:
    machine.role.answers["register"] = Reply(500, ("SecretID is already registered",))
    machine.file.write(held(pending=B))
    machine.rotation().maintain()
    assert machine.file.read() == held(B, NOW, former=(FormerSecretId(A, NOW + DAY),))


def policy(path: str) -> str:
    return (
        f"the policy of the login at Vault does not allow update on {path}: add "
        f'path "{path}" {{ capabilities = ["update"] }}'
    )


ROLE_PATH = "auth/team/approle/role/rotator"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("register", f"{ROLE_PATH}/custom-secret-id"),
        ("try", "auth/team/approle/login"),
        ("destroy", f"{ROLE_PATH}/secret-id/destroy"),
    ],
)
@pytest.mark.parametrize("answer", [DENIED, Reply(502)])
def test_each_call_that_fails_is_reported_and_tried_again_after_five_minutes(
    machine: Machine, name: str, path: str, answer: Reply
) -> None:
    machine.role.answers[name] = answer
    before = held(former=(FormerSecretId(B, NOW),)) if name == "destroy" else held(pending=B)
    machine.file.write(before)
    rotation = machine.rotation()
    rotation.maintain()
    message = (
        policy(path)
        if answer is DENIED
        else f"Vault answered 502 to the write of {path}, which may have been executed: look before writing again"
    )
    assert rotation.problem == message
    assert machine.sink.events == [("login.secret_id_failed", {"role": "rotator", "message": message})]
    assert machine.file.read() == before
    machine.calls()
    machine.now += timedelta(minutes=5) - timedelta(seconds=1)
    rotation.maintain()
    assert machine.calls() == []
    with pytest.raises(ServiceError) as caught:
        rotation.rotate(compromised=True)
    assert str(caught.value) == message
    assert isinstance(caught.value, PermissionDenied if answer is DENIED else Indeterminate)
    machine.role.answers.clear()
    machine.now += timedelta(seconds=1)
    rotation.maintain()
    assert rotation.problem == ""


def test_while_another_process_has_the_file_a_person_is_told_and_upkeep_waits(machine: Machine) -> None:
    rotation = machine.rotation()
    with SecretIdFile(machine.file.path).locked():
        rotation.maintain()
        assert machine.calls() == []
        assert rotation.problem == ""
        with pytest.raises(Refused) as caught:
            rotation.rotate()
    assert str(caught.value) == (
        f"another process is rotating the secret id in {machine.file.path}: try again in a minute"
    )
    rotation.maintain()
    assert machine.calls() != []


def test_upkeep_does_not_wait_for_a_rotation_that_is_under_way(machine: Machine) -> None:
    rotation = machine.rotation()
    with rotation._running:
        rotation.maintain()
    assert machine.calls() == []


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (Reply(200, (), {"data": {"expiration_time": "2026-11-23T12:00:00Z"}}), NOW),
        (Reply(200, (), {"data": {"expiration_time": "2026-11-23T13:00:00+01:00"}}), NOW),
        (Reply(404, (), {"data": {"expiration_time": "2026-11-23T12:00:00Z"}}), None),
        (Reply(200, (), {"data": {"expiration_time": "0001-01-01T00:00:00Z"}}), None),
        (Reply(200, (), {"data": {"expiration_time": "9999-12-31T00:00:00Z"}}), None),
        (Reply(200, (), {"data": {"expiration_time": "2026-11-23T12:00:00"}}), None),
        (Reply(200), None),
    ],
)
def test_the_end_of_a_secret_id_is_a_time_with_a_zone_within_bounds(reply: Reply, end: datetime | None) -> None:
    assert end_of(reply) == end
