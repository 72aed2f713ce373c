"""Append-only files that no server can read: recognised, and set aside if that is asked for."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.durability import until_aof_written
from tests.redis_binary import redis_server_binary
from tests.waiting import until
from workmanager.append_only.check import find_damage
from workmanager.append_only.set_aside import KEPT, set_aside
from workmanager.errors import UnreadableFile
from workmanager.local import valkey
from workmanager.local.valkey import ValkeyServer

PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture(params=["valkey", "redis"])
def ended_server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ValkeyServer]:
    """A server with a snapshot and commands in its files, which has ended."""
    if request.param == "redis":
        binary = redis_server_binary(tmp_path)
        monkeypatch.setattr(valkey, "server_binary", lambda: binary)
    server = ValkeyServer(tmp_path / "server")
    server.start()
    server.command("SET", "first", "a" * 1000)
    server.command("BGREWRITEAOF")
    until(lambda: server.command("INFO", "persistence")["aof_rewrites"] == 1)
    until(lambda: not server.command("INFO", "persistence")["aof_rewrite_in_progress"])
    server.command("SET", "second", "b" * 1000)
    until_aof_written(server)
    server.kill()
    yield server
    server.kill()


def _files(server: ValkeyServer) -> dict[str, Path]:
    files = list((server.directory / "appendonlydir").iterdir())
    return {kind: next(path for path in files if kind in path.name) for kind in ("base", "incr", "manifest")}


def _damage_commands(server: ValkeyServer) -> Path:
    path = _files(server)["incr"]
    data = path.read_bytes()
    path.write_bytes(data[:30] + bytes(200) + data[230:] + PING)
    return path


def _damage_snapshot(server: ValkeyServer) -> Path:
    path = _files(server)["base"]
    data = bytearray(path.read_bytes())
    data[-12] ^= 1
    path.write_bytes(data)
    return path


def _remove_snapshot(server: ValkeyServer) -> Path:
    path = _files(server)["base"]
    path.unlink()
    return path


def _damage_manifest(server: ValkeyServer) -> Path:
    path = _files(server)["manifest"]
    path.write_bytes(bytes(50) + b"\n")
    return path


@pytest.mark.parametrize("damage", [_damage_commands, _damage_snapshot, _remove_snapshot, _damage_manifest])
def test_a_server_that_cannot_read_its_data_says_which_file_and_what_to_do(
    ended_server: ValkeyServer, damage: Callable[[ValkeyServer], Path]
) -> None:
    path = damage(ended_server)
    with pytest.raises(UnreadableFile, match=f"cannot read its data: {path}.*restore") as failure:
        ended_server.start()
    assert str(ended_server.directory / "valkey.log") in str(failure.value)


def test_the_command_that_is_suggested_cuts_the_file_off_at_the_damage(ended_server: ValkeyServer) -> None:
    path = _files(ended_server)["incr"]
    path.write_bytes(path.read_bytes() + b"garbage\r\n" * 4 + PING)
    damage = find_damage(ended_server.directory, valkey.server_binary())
    assert damage is not None
    command = damage.remedy.partition("loses what follows: ")[2]
    subprocess.run(command, shell=True, input=b"y\n", check=True, stdout=subprocess.DEVNULL)
    ended_server.start()
    assert ended_server.command("EXISTS", "first", "second") == 2


@pytest.mark.parametrize("ending", [b"", PING[:-3], b"*3\r\n$3\r\nSET\r\n", b"*1\r\n$4"])
def test_a_file_that_ends_within_a_command_can_be_read(ended_server: ValkeyServer, ending: bytes) -> None:
    path = _files(ended_server)["incr"]
    path.write_bytes(path.read_bytes() + ending)
    assert find_damage(ended_server.directory, valkey.server_binary()) is None
    ended_server.start()
    assert ended_server.command("EXISTS", "first", "second") == 2


def test_data_of_a_server_that_ends_for_another_reason_count_as_readable(ended_server: ValkeyServer) -> None:
    settings = {"maxmemory-policy": "nonsense"}
    server = ValkeyServer(ended_server.directory, settings=settings)
    with pytest.raises(Exception, match="exited at its start") as failure:
        server.start()
    assert not isinstance(failure.value, UnreadableFile)


def test_files_set_aside_leave_an_empty_server_and_few_are_kept(
    ended_server: ValkeyServer,
) -> None:
    for day in range(1, KEPT + 3):
        set_aside(ended_server.directory, datetime(2026, 1, day, tzinfo=UTC))
        ended_server.start()
        assert ended_server.command("DBSIZE") == 0
        ended_server.stop()
    kept = sorted(path.name for path in ended_server.directory.glob("appendonlydir.*"))
    assert kept == [f"appendonlydir.unreadable-2026010{day}T000000Z" for day in (KEPT + 1, KEPT + 2)]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workmanager.append_only", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_reports_unreadable_files_and_sets_them_aside(ended_server: ValkeyServer) -> None:
    directory, server = str(ended_server.directory), valkey.server_binary()
    assert _run("--check", server, directory).returncode == 0
    path = _damage_commands(ended_server)
    run = _run("--check", server, directory)
    assert run.returncode == 3
    assert run.stderr.startswith(f"event=append_only_unreadable directory={directory} reason='{path} is damaged: no ")
    assert " remedy=" in run.stderr
    assert run.stderr.count("\n") == 1
    run = _run("--set-aside", directory)
    assert (run.returncode, path.exists()) == (0, False)
    assert run.stderr.startswith(f"event=append_only_set_aside directory={directory} moved_to={directory}/append")
