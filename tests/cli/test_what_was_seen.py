"""A message tells what was seen and not what was concluded: what only another user may see is not called missing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.api.client import DaemonUnavailable
from rotator.system.file_diagnosis import absence, group_access

NOBODY = 65534
ROOT = Path(__file__).parents[2]
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can take the view of another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may look into, in which ``closed`` is one for root alone."""
    with tempfile.TemporaryDirectory() as name:
        found = Path(name)
        found.chmod(0o755)
        (found / "closed").mkdir(mode=0o700)
        yield found


def by_another_user(imports: str, code: str, *arguments: object, groups: tuple[int, ...] = ()) -> str:
    """What a line of Python prints for a user who is not root. The interpreter may be root's own: it changes user once it runs."""
    drop = f"os.setgroups({list(groups)}); os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os, sys\nfrom pathlib import Path\n{imports}\n{drop}\n{code}",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SEEN = ("from rotator.system.file_diagnosis import absence", "print(absence(Path(sys.argv[1])))")


@AS_ROOT
def test_c7_what_only_root_may_look_into_is_not_called_missing(folder: Path) -> None:
    (folder / "closed" / "ca.pem").write_text("x")
    for hidden in (folder / "closed" / "ca.pem", folder / "closed" / "nothing", folder / "closed" / "a" / "b"):
        assert (
            by_another_user(*SEEN, hidden)
            == f"cannot be looked for, because this user may not look into {folder / 'closed'}"
        )
    assert by_another_user(*SEEN, folder / "nothing") == "does not exist"


def test_what_is_there_is_not_absent(tmp_path: Path) -> None:
    assert absence(tmp_path) == ""
    assert absence(tmp_path / "x") == "does not exist"
    (tmp_path / "file").touch()
    assert absence(tmp_path / "file" / "x") == "does not exist"


MODULE = "from rotator.config import secret_reference as module"
CREDENTIAL = """
module.CREDENTIAL_FOLDERS, module.ENCRYPTED_FOLDER = (sys.argv[1], sys.argv[2]), Path(sys.argv[3])
try:
    module.Reference.parse("credential:scw-secret").check()
except Exception as error:
    print(error)
"""


@AS_ROOT
def test_a_credential_that_only_root_can_look_for_is_not_said_to_be_nowhere(folder: Path) -> None:
    (folder / "closed" / "scw-secret").write_text("x" * 40)
    said = by_another_user(MODULE, CREDENTIAL, folder / "gone", folder / "empty", folder / "closed")
    assert said == (
        f"credential:scw-secret: was not found: it is not in {folder / 'gone'} and not in {folder / 'empty'}, and this user may not"
        f" look into {folder / 'closed'}; run as root, or set $CREDENTIALS_DIRECTORY to the folder that holds it"
    )


def test_a_credential_that_is_nowhere_is_said_to_be_in_none_of_the_folders(folder: Path) -> None:
    code = CREDENTIAL.replace("sys.argv[1]", repr(str(folder / "a"))).replace("sys.argv[2]", repr(str(folder / "b")))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom pathlib import Path\n{MODULE}\n{code}", "x", "x", str(folder / "c")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.strip() == (
        f"credential:scw-secret: is neither in {folder / 'a'} nor {folder / 'b'} nor {folder / 'c'}, and $CREDENTIALS_DIRECTORY is not"
        " set; set it to the folder that holds it"
    )


@AS_ROOT
def test_a_member_of_the_group_is_not_told_to_become_one(folder: Path) -> None:
    code = ("from rotator.system.file_diagnosis import group_access", "print(group_access(Path(sys.argv[1])))")
    socket = folder / "control.sock"
    socket.touch()
    os.chown(socket, 0, 4)  # adm
    socket.chmod(0o660)
    assert by_another_user(*code, socket) == "it belongs to the group adm: become a member of adm, then log in again"
    socket.chmod(0o600)
    assert by_another_user(*code, socket, groups=(4,)) == (
        "this user is a member of its group adm, which may not write to it (mode 0600)"
    )
    assert (
        by_another_user(*code, folder / "closed" / "control.sock") == f"this user may not look into {folder / 'closed'}"
    )


def test_who_became_a_member_after_the_session_began_logs_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rotator.system import file_diagnosis

    socket = tmp_path / "control.sock"
    socket.touch(mode=0o660)
    monkeypatch.setattr(file_diagnosis, "groups_of_process", frozenset)
    monkeypatch.setattr(file_diagnosis, "groups_of_user", lambda: frozenset({socket.stat().st_gid}))
    assert group_access(socket).endswith("is a member of its group root since after this session began: log in again")


def test_without_a_daemon_membership_of_a_group_is_no_way_out() -> None:
    from rotator.cli.session import _stranded
    from rotator.errors import ConfigurationError, ConfigurationProblem

    error = ConfigurationError([ConfigurationProblem("credential:x", "", "may not be read", private=True)])
    gone = str(_stranded(DaemonUnavailable("no daemon answers: there is no /run/rotator/control.sock"), error))
    assert "member" not in gone
    assert gone.endswith("start the daemon, or run as root")
    denied = DaemonUnavailable(
        "this user may not use /x: it belongs to the group ops: become a member of ops", denied=True
    )
    assert str(_stranded(denied, error)).endswith("may not be read; or run as root")


@AS_ROOT
def test_an_incident_s_file_in_a_folder_of_another_user_is_refused_in_a_sentence(folder: Path) -> None:
    code = """
try:
    _write(Path(sys.argv[1]), "x")
except Exception as error:
    print(type(error).__name__, error)
"""
    said = by_another_user(
        "from rotator.cli.commands.incident import _write", code, folder / "closed" / "incident.html"
    )
    assert said == f"Refused {folder / 'closed' / 'incident.html'} cannot be written: Permission denied"
