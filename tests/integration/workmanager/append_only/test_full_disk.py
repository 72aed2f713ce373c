"""Append-only files after a full disk, and real servers that start with them although nobody had them rewritten."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability import until_aof_written
from tests.full_disk import cut_a_write_short, full_disk, until_written
from tests.redis_binary import redis_server_binary
from tests.waiting import until
from workmanager.append_only.repair import remove_gaps, repair
from workmanager.local import valkey
from workmanager.local.valkey import ValkeyServer


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer]:
    """A server that has rewritten its file since it started."""
    if request.param == "redis":
        binary = redis_server_binary(tmp_path)
        monkeypatch.setattr(valkey, "server_binary", lambda: binary)
    server = ValkeyServer(tmp_path / "server")
    server.start()
    server.command("SET", "before", "\r\n\0*1\r\n$4\r\nPING\r\n")
    server.command("BGREWRITEAOF")
    until(lambda: server.command("INFO", "persistence")["aof_rewrites"] == 1)
    until(lambda: not server.command("INFO", "persistence")["aof_rewrite_in_progress"])
    yield server
    server.kill()


def _file(server: ValkeyServer) -> Path:
    return max((server.directory / "appendonlydir").glob("*.incr.aof"))


def test_a_server_starts_with_all_data_after_its_disk_was_full(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.command("SET", "in-file", "\r\n\0*1\r\n$4\r\nPING\r\n")
    until_aof_written(server)
    with full_disk(server):
        cut_a_write_short(server, "during")
    until_written(server)
    server.command("SET", "after", 1)
    until_aof_written(server)
    server.kill()
    server.start()
    assert server.command("EXISTS", "before", "in-file", "during", "after") == 4
    (event,) = [message for message in caplog.messages if "append_only" in message]
    assert event.startswith(f"event=append_only_gaps_removed file={_file(server)} gaps=1 bytes=")


def test_a_repair_that_fails_leaves_the_file_as_it_was(server: ValkeyServer) -> None:
    with full_disk(server):
        cut_a_write_short(server, "during")
    until_written(server)
    until_aof_written(server)
    server.kill()
    path = _file(server)
    damaged = path.read_bytes()
    (path.parent / f"{path.name}.repaired").mkdir()
    with pytest.raises(OSError, match="repaired"):
        repair(server.directory)
    assert path.read_bytes() == damaged


def test_values_that_look_like_a_gap_are_kept(tmp_path: Path) -> None:
    value = b"\r\n\0\0\0*1\r\n$4\r\nPING\r\n"
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%s\r\n" % (len(value), value))
    whole = path.read_bytes()
    assert remove_gaps(path) == 0
    assert path.read_bytes() == whole
