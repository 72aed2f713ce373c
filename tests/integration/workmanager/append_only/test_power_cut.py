"""Append-only files after a power cut, and a real server that starts with them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.faults.disk import Disk, MemoryDirectory
from tests.durability import until_aof_written
from tests.waiting import until
from workmanager.append_only.repair import repair
from workmanager.local.valkey import ValkeyServer

VALUE = "v" * 1000
ROUNDS = 20
"""Most power cuts hit between the writes of a file's length and of its data. Try until one does."""


@pytest.fixture
def ended_server(private_server: ValkeyServer) -> ValkeyServer:
    """A server that was killed right after it wrote `first`, and then `last`."""
    private_server.command("SET", "first", VALUE)
    private_server.command("SET", "last", VALUE)
    until_aof_written(private_server)
    private_server.kill()
    return private_server


def _file(server: ValkeyServer) -> Path:
    return max((server.directory / "appendonlydir").glob("*.incr.aof"))


def test_nuls_after_the_last_command_are_removed(ended_server: ValkeyServer) -> None:
    whole = _file(ended_server).read_bytes()
    _file(ended_server).write_bytes(whole + bytes(100_000))
    assert repair(ended_server.directory) == 100_000
    assert _file(ended_server).read_bytes() == whole
    assert repair(ended_server.directory) == 0
    _file(ended_server).write_bytes(whole + bytes(1))
    ended_server.start()
    assert [ended_server.command("GET", key) for key in ("first", "last")] == [VALUE, VALUE]


def test_nuls_are_not_taken_for_the_rest_of_a_command(ended_server: ValkeyServer) -> None:
    whole = _file(ended_server).read_bytes()
    _file(ended_server).write_bytes(whole[:-500] + bytes(500))
    ended_server.start()
    assert [ended_server.command("GET", key) for key in ("first", "last")] == [VALUE, None]


def test_the_file_with_the_highest_number_is_truncated(tmp_path: Path) -> None:
    """During a rewrite there are two files. Their names do not always sort like their numbers."""
    files = tmp_path / "appendonlydir"
    files.mkdir()
    lines = ["file appendonly.aof.9.base.rdb seq 9 type b"]
    for number in (9, 10):
        name = f"appendonly.aof.{number}.incr.aof"
        lines.append(f"file {name} seq {number} type i")
        (files / name).write_bytes(b"*1\r\n" + bytes(number))
    (files / "appendonly.aof.manifest").write_text("\n".join([*lines, ""]))
    assert repair(tmp_path) == 10


def test_after_a_rewrite_the_new_file_is_truncated(private_server: ValkeyServer) -> None:
    private_server.command("SET", "first", VALUE)
    private_server.command("BGREWRITEAOF")
    until(lambda: not private_server.command("INFO", "persistence")["aof_rewrite_in_progress"])
    private_server.command("SET", "last", VALUE)
    until_aof_written(private_server)
    private_server.kill()
    (current,) = (private_server.directory / "appendonlydir").glob("*.2.incr.aof")
    current.write_bytes(current.read_bytes() + bytes(50))
    private_server.start()
    assert [private_server.command("GET", key) for key in ("first", "last")] == [VALUE, VALUE]


def test_a_file_of_nuls_alone_is_emptied(ended_server: ValkeyServer) -> None:
    _file(ended_server).write_bytes(bytes(70_000))
    ended_server.start()
    assert ended_server.command("DBSIZE") == 0


def test_a_file_of_redis_before_version_7_is_truncated_too(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(b"*1\r\n$4\r\nPING\r\n" + bytes(10))
    assert repair(tmp_path) == 10


def test_a_new_directory_is_left_unchanged(tmp_path: Path) -> None:
    assert repair(tmp_path / "none") == 0
    assert list(tmp_path.iterdir()) == []


def _run(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workmanager.append_only", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_logs_how_much_it_removed(tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"*1\r\n" + bytes(10))
    run = _run(tmp_path)
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == f"event=append_only_truncated file={path} bytes=10 reason=trailing_nuls_after_power_cut\n"
    assert _run(tmp_path).stderr == ""


def test_the_program_reports_a_file_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").mkdir()
    run = _run(tmp_path)
    assert run.returncode == 1
    assert "append_only: cannot check the append-only file in " in run.stderr
    assert "appendonly.aof" in run.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """An ext4 file system that forgets what was not synced."""
    images = MemoryDirectory(tmp_path / "images")
    disk = Disk(images.mount_point, tmp_path / "host" / "disk")
    yield disk
    disk.unmount()
    images.unmount()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system, which needs root")
def test_after_a_power_cut_the_server_has_all_synced_writes(disk: Disk, request: pytest.FixtureRequest) -> None:
    server = ValkeyServer(disk.mount_point / "valkey")
    request.addfinalizer(server.kill)
    nuls = 0
    for number in range(ROUNDS):
        server.start()
        server.command("CONFIG", "SET", "appendfsync", "always")
        server.command("SET", f"synced-{number}", VALUE)
        server.command("CONFIG", "SET", "appendfsync", "everysec")
        server.command("SET", f"unsynced-{number}", VALUE[:100])
        # A sync of any file, by any program, saves the lengths of all files.
        with (disk.mount_point / "other").open("wb") as other:
            os.fsync(other.fileno())
        server.kill()
        disk.drop_unsynced()
        nuls = repair(server.directory)
        if nuls:
            break
    assert 0 < nuls < 1000
    server.start()
    assert server.command("EXISTS", *(f"synced-{past}" for past in range(number + 1))) == number + 1
