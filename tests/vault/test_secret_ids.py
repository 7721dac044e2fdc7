"""The secret id of our own login is replaced under a protocol that no kill, no lost answer and no second process can turn into a lock-out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, Refused, ServiceError
from rotator.vault.responses import Reply
from rotator.vault.secret_id_rotation import RETRY_DELAY, KeptSecretId, SecretIdRotation, end_of
from rotator.vault.secret_ids import MAX_FORMER, SecretIdFile, SecretIdPolicy, SecretIds, Step, due_at, next_step
from rotator.vault.settings import OwnSecretIdSettings
from tests.support.simulated import Recorder

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
POLICY = SecretIdPolicy(every=30 * DAY, grace=DAY)
INITIAL = Secret("initial-secret-id-of-the-operator")
ROLE = "rotator"
OK, NOTHING = Reply(200, (), {}), Reply(204, (), {})


class Killed(BaseException):
    """The process ended here."""


@dataclass
class Role:
    """An AppRole at a Vault, and the time. ``hook`` is called before and after each call: it may kill the caller or lose the answer."""

    valid: set[str] = field(default_factory=lambda: {INITIAL.reveal()})
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    hook: Callable[[str, str], None] = lambda name, phase: None
    ends_at: datetime | None = None
    denied: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)

    def _call(self, name: str, execute: Callable[[], Reply]) -> Reply:
        self.calls.append(name)
        self.hook(name, "before")
        answer = Reply(403, ("1 error occurred:\n\t* permission denied",), {}) if name in self.denied else execute()
        self.hook(name, "after")
        return answer

    def register_secret_id(self, role: str, secret: Secret) -> Reply:
        def execute() -> Reply:
            if secret.reveal() in self.valid:
                return Reply(500, ("SecretID is already registered",), {})
            self.valid.add(secret.reveal())
            return OK

        return self._call("register", execute)

    def destroy_secret_id(self, role: str, secret: Secret) -> Reply:
        def execute() -> Reply:
            self.valid.discard(secret.reveal())
            return NOTHING

        return self._call("destroy", execute)

    def secret_id_end(self, role: str, secret: Secret) -> datetime | None:
        return self.ends_at

    def try_secret_id(self, secret: Secret) -> Reply:
        return self._call(
            "try", lambda: OK if secret.reveal() in self.valid else Reply(400, ("invalid role or secret ID",), {})
        )


@dataclass
class Host:
    """A machine with its file; ``daemon`` makes a process on it."""

    role: Role
    path: Path
    sink: Recorder = field(default_factory=Recorder)

    def daemon(self) -> SecretIdRotation:
        settings = OwnSecretIdSettings(ROLE, self.path, POLICY, self.sink)
        return SecretIdRotation(settings, lambda: INITIAL, self.role, lambda: self.role.now)

    def logs_in(self) -> bool:
        return KeptSecretId(SecretIdFile(self.path), lambda: INITIAL)().reveal() in self.role.valid

    @property
    def held(self) -> SecretIds:
        return SecretIdFile(self.path).read()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(Role(), tmp_path / "secret-id")


def live_for(host: Host, span: timedelta, step: timedelta = HOUR) -> None:
    daemon, end = host.daemon(), host.role.now + span
    while host.role.now < end:
        daemon.maintain()
        host.role.now += step


def test_a_login_has_a_secret_id_of_its_own_and_the_configured_one_stays_valid(host: Host) -> None:
    host.daemon().maintain()
    assert host.held.current is not None
    assert host.role.valid == {INITIAL.reveal(), host.held.current.reveal()}
    assert host.sink.names() == ["login.secret_id_rotated"]


def test_each_secret_id_is_replaced_in_time_and_destroyed_after_its_grace(host: Host) -> None:
    live_for(host, 100 * DAY)
    assert host.sink.names().count("login.secret_id_rotated") == 4
    assert host.sink.names().count("login.secret_id_destroyed") == 3
    assert host.held.current is not None
    assert host.role.valid == {INITIAL.reveal(), host.held.current.reveal()}


def test_a_former_secret_id_is_valid_throughout_its_grace(host: Host) -> None:
    daemon = host.daemon()
    daemon.maintain()
    first = host.held.current
    assert first is not None
    host.role.now += 30 * DAY
    daemon.maintain()
    host.role.now += DAY - MINUTE
    daemon.maintain()
    assert first.reveal() in host.role.valid
    host.role.now += MINUTE
    daemon.maintain()
    assert first.reveal() not in host.role.valid


@pytest.mark.parametrize("accident", ["killed before", "killed after", "answer lost after"])
def test_after_an_accident_at_any_call_the_next_process_logs_in_and_goes_on(accident: str, tmp_path: Path) -> None:
    calm = Host(Role(), tmp_path / "calm")
    live_for(calm, 65 * DAY)
    points = len(calm.role.calls)
    assert points >= 7
    for point in range(points):
        host, count = Host(Role(), tmp_path / f"{accident}-{point}"), -1

        def hook(name: str, phase: str, host: Host = host, point: int = point) -> None:
            nonlocal count
            count += phase == "before"
            assert host.logs_in(), "a process that starts now is locked out"
            if count == point and accident.endswith(phase):
                count += 1000
                if accident.startswith("killed"):
                    raise Killed
                raise Indeterminate("the answer was lost", service="vault", kind="timeout")

        host.role.hook = hook
        try:
            live_for(host, 65 * DAY)
        except Killed:
            live_for(host, 65 * DAY)
        assert host.logs_in()
        live_for(host, 2 * DAY)
        held = host.held
        assert held.current is not None
        assert held.pending is None
        known = {held.current.reveal(), INITIAL.reveal(), *(former.secret.reveal() for former in held.former)}
        assert host.role.valid <= known, (
            f"a secret id was left at Vault that nothing names, after {accident} at call {point}"
        )


@pytest.mark.parametrize("place", range(8))
def test_a_kill_between_two_writes_of_the_file_locks_nothing_out(
    place: int, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, write = -1, SecretIdFile.write

    def killed(file: SecretIdFile, held: SecretIds) -> None:
        nonlocal count
        count += 1
        if count == place:
            raise Killed
        write(file, held)
        if count + 4 == place:
            raise Killed

    monkeypatch.setattr(SecretIdFile, "write", killed)
    for _ in range(3):
        try:
            live_for(host, 32 * DAY)
        except Killed:
            assert host.logs_in()
    monkeypatch.undo()
    live_for(host, 3 * DAY)
    assert host.logs_in()


def test_two_machines_with_one_configured_secret_id_do_not_lock_each_other_out(tmp_path: Path) -> None:
    role = Role()
    one, two = Host(role, tmp_path / "one"), Host(role, tmp_path / "two")
    for _ in range(100):
        live_for(one, DAY)
        assert two.logs_in()
        live_for(two, DAY)
        assert one.logs_in()


def test_two_processes_on_one_machine_make_one_secret_id(host: Host) -> None:
    daemon, other = host.daemon(), host.daemon()
    host.role.hook = lambda name, phase: other.maintain() if phase == "before" else None
    daemon.maintain()
    assert host.role.calls.count("register") == 1
    assert len(host.role.valid) == 2


def test_a_secret_id_that_vault_ends_is_replaced_before_its_end(host: Host) -> None:
    host.role.ends_at = host.role.now + 9 * DAY
    held = SecretIds(current=Secret("s" * 20), since=host.role.now)
    assert due_at(held, POLICY, host.role.ends_at) == host.role.now + 6 * DAY


def test_a_compromised_secret_id_is_replaced_and_every_former_one_destroyed_at_once(host: Host) -> None:
    daemon = host.daemon()
    daemon.maintain()
    leaked = host.held.current
    assert leaked is not None
    assert daemon.rotate(compromised=True) == 2
    assert leaked.reveal() not in host.role.valid
    assert INITIAL.reveal() not in host.role.valid
    assert host.logs_in()
    assert len(host.role.valid) == 1


def test_what_vault_denies_is_reported_and_tried_again_later_while_the_present_one_stays_in_use(host: Host) -> None:
    host.role.denied = frozenset({"register"})
    daemon = host.daemon()
    daemon.maintain()
    daemon.maintain()
    assert host.role.calls == ["register"]
    assert host.logs_in()
    [(event, fields)] = host.sink.events
    assert event == "login.secret_id_failed"
    assert "auth/approle/role/rotator/custom-secret-id" in str(fields["message"])
    assert daemon.problem == fields["message"]
    host.role.denied = frozenset()
    host.role.now += RETRY_DELAY
    daemon.maintain()
    assert daemon.problem == ""
    assert host.held.current is not None


def test_a_secret_id_that_does_not_log_in_is_not_used(host: Host) -> None:
    daemon = host.daemon()
    daemon.maintain()
    used = host.held.current
    host.role.denied = frozenset({"try"})
    with pytest.raises(ServiceError):
        daemon.rotate()
    assert host.held.current == used
    assert host.logs_in()


def test_a_person_is_told_what_vault_denies(host: Host) -> None:
    host.role.denied = frozenset({"destroy"})
    with pytest.raises(ServiceError, match="secret-id/destroy"):
        host.daemon().rotate(compromised=True)
    assert host.logs_in()


def test_each_step_of_a_rotation_is_told_when_it_is_done(host: Host) -> None:
    host.daemon().maintain()
    host.role.calls.clear()
    told: list[tuple[str, list[str]]] = []
    host.daemon().rotate(compromised=True, on_step=lambda step: told.append((step, [*host.role.calls])))
    assert told == [
        ("generated", []),
        ("registered", ["register"]),
        ("verified", ["register", "try"]),
        ("in_use", ["register", "try"]),
        ("destroyed", ["register", "try", "destroy"]),
        ("destroyed", ["register", "try", "destroy", "destroy"]),
    ]


def test_the_configured_secret_id_can_be_spared(host: Host) -> None:
    host.daemon().maintain()
    former = host.held.current
    assert former is not None
    assert host.daemon().rotate(compromised=True, spare_configured=True) == 1
    assert host.held.current is not None
    assert host.role.valid == {INITIAL.reveal(), host.held.current.reveal()}


def test_no_more_secret_ids_are_made_than_can_be_destroyed(host: Host) -> None:
    host.role.denied = frozenset({"destroy"})
    daemon = host.daemon()
    for _ in range(MAX_FORMER + 1):
        daemon.rotate()
    held = host.held
    with pytest.raises(Refused, match=r"no new one is made: .* rotate-login --compromised"):
        daemon.rotate()
    assert host.held == held
    assert len(held.former) == MAX_FORMER


def test_a_leaked_secret_id_is_destroyed_also_where_there_was_no_place_for_another_former_one(host: Host) -> None:
    daemon = host.daemon()
    for _ in range(MAX_FORMER + 1):
        daemon.rotate()
    leaked = host.held.current
    assert leaked is not None
    assert daemon.rotate(compromised=True) == MAX_FORMER + 2
    assert host.held.current is not None
    assert host.role.valid == {host.held.current.reveal()}
    assert leaked.reveal() not in host.role.valid


def test_the_file_is_private_and_a_damaged_one_is_refused_with_what_to_do(host: Host) -> None:
    host.daemon().maintain()
    assert host.path.stat().st_mode & 0o777 == 0o600
    for content in (
        "",
        "[]",
        "{}",
        '{"schema": 1}',
        json.dumps({"schema": 1, "current": 5, "since": None, "pending": None, "former": []}),
        "[" * 9999,
    ):
        host.path.write_text(content)
        with pytest.raises(Refused, match="remove it, and the login uses the configured secret_id again"):
            host.logs_in()
    host.path.chmod(0o666)
    with pytest.raises(Refused, match="can be written by other users"):
        host.logs_in()


def test_a_file_that_cannot_be_written_leaves_the_login_as_it_is(tmp_path: Path) -> None:
    host = Host(Role(), tmp_path / "missing" / "secret-id")
    daemon = host.daemon()
    daemon.maintain()
    assert "the user of the service needs a folder of its own, as own-secret-id.conf makes it" in daemon.problem
    assert host.role.calls == []
    assert host.logs_in()


def test_no_secret_id_shows_itself(host: Host) -> None:
    host.daemon().maintain()
    held = host.held
    assert held.current is not None
    assert held.current.reveal() not in repr(held) + repr(host.sink.events)


@pytest.mark.parametrize("expires", ["0001-01-01T00:00:00Z", "", None, 5, "soon", "2026-13-45T00:00:00Z"])
def test_an_end_that_is_none_is_no_end(expires: Any) -> None:
    assert end_of(Reply(200, (), {"data": {"expiration_time": expires}})) is None


def test_a_pending_secret_id_comes_before_everything_else() -> None:
    held = SecretIds(pending=Secret("p" * 20))
    assert next_step(held, datetime(2026, 1, 1, tzinfo=UTC), POLICY) is Step.REGISTER


def test_what_another_user_makes_is_handed_to_the_owner_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = tmp_path.stat()
    handed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: owner.st_uid + 1)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: handed.append((user, group)))
    file = SecretIdFile(tmp_path / "secret-id")
    with file.locked():
        file.write(SecretIds(current=INITIAL))
    assert handed == [(owner.st_uid, owner.st_gid)] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for another user")
def test_what_root_writes_belongs_to_the_user_of_the_service(tmp_path: Path) -> None:
    service = 65532
    os.chown(tmp_path, service, service)
    file = SecretIdFile(tmp_path / "secret-id")
    with file.locked() as alone:
        assert alone
        file.write(SecretIds(current=INITIAL))
    assert {(one.stat().st_uid, one.stat().st_mode & 0o777) for one in tmp_path.iterdir()} == {(service, 0o600)}
    assert len(list(tmp_path.iterdir())) == 2
