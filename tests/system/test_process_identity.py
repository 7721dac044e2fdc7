"""Owners: a process that is gone is known to be gone, and nothing is ever said of one that may live."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from rotator.system import process_identity as owner


def test_an_owner_is_the_same_on_every_call_and_says_chance_machine_process_and_start() -> None:
    ours = owner.current()
    assert ours == owner.current()
    assert re.fullmatch(r"[0-9a-f]{16}\.([0-9a-f]{16}|-)\.\d+\.\d+", ours)
    assert f".{os.getpid()}." in ours


def other_process(*, end: bool) -> tuple[str, subprocess.Popen[str]]:
    code = "import sys; from rotator.system import process_identity as owner; print(owner.current(), flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    name = child.stdout.readline().strip()
    if end:
        child.communicate()
    return name, child


def test_two_processes_are_two_owners_of_one_machine() -> None:
    theirs, _ = other_process(end=True)
    assert theirs != owner.current()
    assert theirs.split(".")[1] == owner.current().split(".")[1]


def test_a_living_process_is_not_gone_and_is_gone_when_it_has_ended() -> None:
    name, child = other_process(end=False)
    assert not owner.is_gone(name)
    child.communicate()
    assert owner.is_gone(name)


def test_we_are_not_gone_ourselves() -> None:
    assert not owner.is_gone(owner.current())


def test_a_process_id_that_another_process_has_by_now_means_gone() -> None:
    chance, machine, pid, start = owner.current().split(".")
    assert owner.is_gone(f"{chance}.{machine}.{pid}.{int(start) + 1}")


def test_nothing_is_said_of_an_owner_on_another_machine_or_in_another_container() -> None:
    name, _ = other_process(end=True)
    chance, _, pid, start = name.split(".")
    assert not owner.is_gone(f"{chance}.{'0' * 16}.{pid}.{start}")
    assert not owner.is_gone(f"{chance}.-.{pid}.{start}")


def test_nothing_is_said_of_what_is_not_an_owner() -> None:
    for text in ("", "daemon-1", "a.b.c.d", f"{'0' * 16}.{'0' * 16}.99999999999999999999.1"):
        assert not owner.is_gone(text)


def test_where_the_kernel_does_not_tell_the_boot_the_unit_does(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = owner._boot_id()

    def hidden(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", hidden)
    for told in ("", "nonsense", boot):
        monkeypatch.setenv("ROTATOR_BOOT_ID", told)
        with pytest.raises(FileNotFoundError):
            owner._boot_id()
    monkeypatch.setenv("ROTATOR_BOOT_ID", boot.replace("-", ""))
    assert owner._boot_id() == boot


def test_an_actor_of_its_own_inside_of_a_process_has_an_owner_of_its_own_that_lives_as_long() -> None:
    one, another = owner.fresh(), owner.fresh()
    assert len({one, another, owner.current()}) == 3
    assert one.split(".")[1:] == owner.current().split(".")[1:]
    assert not owner.is_gone(one)
