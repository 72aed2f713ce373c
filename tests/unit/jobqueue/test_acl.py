"""The users file of Redis."""

import hashlib
from pathlib import Path

import pytest

from jobqueue.acl import MANAGER_SCRIPTS, WORKER_SCRIPTS, main, render_acl_file, roles
from jobqueue.servers.login import ROLES


def test_messages_know_the_names_of_all_roles() -> None:
    assert roles().keys() == ROLES


def test_only_roles_with_a_password_can_log_in() -> None:
    default, manager = render_acl_file({"manager": ["old", "new"]}).splitlines()
    assert default.startswith("user default off resetpass")
    hashes = [hashlib.sha256(password.encode()).hexdigest() for password in ("old", "new")]
    assert manager.startswith(f"user manager on #{hashes[0]} #{hashes[1]} ")
    assert "old" not in manager.split()


@pytest.mark.parametrize(("role", "password"), [("root", "x"), ("manager", "")])
def test_unknown_roles_and_empty_passwords_are_rejected(role: str, password: str) -> None:
    with pytest.raises(ValueError, match=role):
        render_acl_file({role: [password]})


@pytest.mark.parametrize("role", roles())
def test_rights_are_listed_one_by_one(role: str) -> None:
    _, line = render_acl_file({role: ["x"]}).splitlines()
    words = line.split()
    assert words.index("-@all") < min(number for number, word in enumerate(words) if word.startswith("+"))
    assert not [word for word in words if word.startswith("+@") or word in ("allkeys", "allcommands", "~*", "nopass")]


def test_every_script_belongs_to_a_role() -> None:
    directory = Path(__file__).parents[3] / "jobqueue" / "lua"
    named = {path.stem for path in directory.glob("*.lua") if not path.stem.startswith("_")}
    assert named == {*MANAGER_SCRIPTS, *WORKER_SCRIPTS}


def test_passwords_come_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("secret\n")
    assert main(["--password", f"worker={tmp_path / 'a'}"]) == 0
    printed = capsys.readouterr().out
    assert hashlib.sha256(b"secret").hexdigest() in printed
    assert "secret" not in printed


@pytest.mark.parametrize(
    ("argument", "message"),
    [("worker", "ROLE=FILE"), ("worker=/nowhere", "cannot be read"), ("root=/dev/null", "one of the roles manager, ")],
)
def test_usage_errors_say_what_is_wrong(argument: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--password", argument])
    assert message in capsys.readouterr().err
