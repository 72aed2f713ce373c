"""A sibling that hangs is replaced, and connections that wait for it are served."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from manager.siblings import main_process
from manager.siblings.main_process import MainProcess
from processes.descendants import children_of

ALIVE_SECONDS = 2.0


@pytest.fixture
async def port(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a manager's siblings: this process is the main one, and serves nothing."""
    monkeypatch.setattr(main_process, "ALIVE_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(main_process, "ALIVE_SECONDS", ALIVE_SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        arguments = ("--host", "127.0.0.1", "--port", str(port), "--redis-url", redis_url, "--scaler", "none")
        group = MainProcess(2, listener, arguments, ())
        await group.start()
        yield port
        await group.close()


async def test_a_sibling_that_hangs_is_replaced_and_one_that_pauses_is_not(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    await _get(port)
    (pid,) = _siblings()
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(1.5 * ALIVE_SECONDS)  # It leaves a question unanswered.
    os.kill(pid, signal.SIGCONT)
    await _get(port)
    assert _siblings() == [pid]
    os.kill(pid, signal.SIGSTOP)
    await _get(port)  # The connection waits for a process that accepts it.
    assert pid not in _siblings()
    assert f"event=manager_process_killed number=1 pid={pid} reason=hangs" in caplog.text


def _siblings() -> list[int]:
    """Return the process ids of the siblings that this process has started."""
    return [pid for pid in children_of(os.getpid()) if b"--sibling-fds" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def _get(port: int) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).is_success
