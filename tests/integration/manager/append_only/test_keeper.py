"""A single server whose disk is full for a moment can be started again from its file, because a manager watches it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jobqueue.servers.topology import Topology
from manager.append_only.file_watch import NEEDS_REWRITE, WRITE_FAILS
from manager.append_only.keeper import AppendOnlyKeeper
from tests.durability import until_aof_written
from tests.full_disk import cut_a_write_short, full_disk, until_written
from tests.redis_binary import redis_server_binary
from tests.waiting import until, until_async
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
    server.command("SET", "before", 1)
    server.command("BGREWRITEAOF")
    until(lambda: server.command("INFO", "persistence")["aof_rewrites"] == 1)
    until(lambda: not server.command("INFO", "persistence")["aof_rewrite_in_progress"])
    yield server
    server.kill()


@pytest.fixture
async def keeper(server: ValkeyServer) -> AsyncIterator[AppendOnlyKeeper]:
    topology = Topology(server.url)
    await topology.refresh()
    yield AppendOnlyKeeper(topology)
    await topology.close()


async def _until_sound(keeper: AppendOnlyKeeper) -> None:
    async def sound() -> bool:
        await keeper.look()
        return not keeper.problems

    await until_async(sound, wanted="a sound file")


async def test_after_a_full_disk_the_server_can_be_started_from_its_file(
    server: ValkeyServer, keeper: AppendOnlyKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice, because a second full disk cuts off older writes if the first one's gap is still in the file."""
    caplog.set_level(logging.INFO)
    for key in ("first", "second"):
        await keeper.look()
        assert keeper.problems == {}
        with full_disk(server):
            await asyncio.to_thread(cut_a_write_short, server, key)
            await keeper.look()
            assert list(keeper.problems.values()) == [WRITE_FAILS]
        await asyncio.to_thread(until_written, server)
        await keeper.look()
        assert list(keeper.problems.values()) == [NEEDS_REWRITE]
        await _until_sound(keeper)
    server.command("SET", "after", 1)
    await asyncio.to_thread(until_aof_written, server)
    server.kill()
    await asyncio.to_thread(server.start)
    assert server.command("EXISTS", "before", "first", "second", "after") == 4
    events = [message.split()[0] for message in caplog.messages if "append_only" in message]
    assert events == ["event=append_only_file_unsound", "event=append_only_file_sound"] * 2


async def test_an_error_that_nobody_saw_is_mended_by_a_manager_that_starts_later(
    server: ValkeyServer, keeper: AppendOnlyKeeper
) -> None:
    with full_disk(server):
        await asyncio.to_thread(cut_a_write_short, server, "during")
    await asyncio.to_thread(until_written, server)
    await keeper.look()
    assert list(keeper.problems.values()) == [NEEDS_REWRITE]
    await _until_sound(keeper)
    server.kill()
    await asyncio.to_thread(server.start)
    assert server.command("EXISTS", "before", "during") == 2


async def test_a_user_who_may_not_ask_for_a_rewrite_is_told_once(
    server: ValkeyServer, keeper: AppendOnlyKeeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manager.append_only.file_watch.FIRST_RETRY_SECONDS", 0.0)
    server.command("ACL", "SETUSER", "default", "-bgrewriteaof")
    with full_disk(server):
        await asyncio.to_thread(cut_a_write_short, server, "during")
    await asyncio.to_thread(until_written, server)
    for _ in range(3):
        await keeper.look()
    refusals = [message for message in caplog.messages if "append_only_rewrite_refused" in message]
    assert len(refusals) == 1
    assert f"server=127.0.0.1:{server.port} error=" in refusals[0]
    assert "no permissions" in refusals[0]
    assert list(keeper.problems.values()) == [NEEDS_REWRITE]
