"""The embedded Valkey server: real processes, real kills."""

import ctypes.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.durability import until_aof_written
from tests.processes import is_alive
from tests.waiting import until
from workmanager import store_settings
from workmanager.errors import ServerError
from workmanager.local import jemalloc, ports
from workmanager.local.valkey import ValkeyServer

STARTER = """
import pathlib, sys, time
from workmanager.local.valkey import ValkeyServer
server = ValkeyServer(pathlib.Path(sys.argv[1]))
server.start()
print(server.pid, server.port, flush=True)
time.sleep(60)
"""


def test_it_runs_with_the_redis_settings(private_server: ValkeyServer) -> None:
    for name, value in store_settings.REDIS_SETTINGS.items():
        shown = private_server.command("CONFIG", "GET", name)[name]
        size = re.fullmatch(r"(\d+)mb", value)
        assert shown == (str(int(size[1]) * 1024 * 1024) if size else value)


def test_data_and_port_survive_a_crash(
    private_server: ValkeyServer,
) -> None:
    private_server.command("SET", "job", "kept")
    until_aof_written(private_server)
    url = private_server.url
    private_server.kill()
    private_server.start()
    assert private_server.command("GET", "job") == "kept"
    assert private_server.url == url


def test_start_waits_until_the_data_are_loaded(private_server: ValkeyServer) -> None:
    with redis.Redis(port=private_server.port) as client, client.pipeline(transaction=False) as pipeline:
        for number in range(100_000):
            pipeline.set(f"job-{number}", number)
        pipeline.execute()
    until_aof_written(private_server)
    private_server.kill()
    private_server.start()
    assert private_server.command("GET", "job-99999") == "99999"


def test_it_moves_to_another_port_if_its_last_one_is_taken(private_server: ValkeyServer) -> None:
    private_server.command("SET", "job", "kept")
    private_server.stop()
    with socket.create_server(("127.0.0.1", private_server.port)) as taker:
        private_server.start()
        assert private_server.port != taker.getsockname()[1]
    assert private_server.command("GET", "job") == "kept"


def test_it_does_not_outlive_a_starter_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid, _ = map(int, starter.stdout.readline().split())
        assert is_alive(pid)
        starter.kill()
        until(lambda: not is_alive(pid), wanted="the server's end")


def test_a_server_that_cannot_start_reports_why(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, settings={"maxmemory-policy": "nonsense"})
    with pytest.raises(ServerError, match=r"exited at its start: .*valkey\.log"):
        server.start()
    assert server.pid is None


def test_a_paused_server_keeps_its_clients_waiting_until_it_is_resumed(private_server: ValkeyServer) -> None:
    private_server.pause()
    client = redis.Redis(port=private_server.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
    with client, pytest.raises(redis.TimeoutError):
        client.ping()
    private_server.resume()
    assert private_server.command("PING")


def test_a_paused_server_can_be_stopped(private_server: ValkeyServer) -> None:
    pid = private_server.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    private_server.stop()
    assert not is_alive(pid)


def test_another_server_that_takes_the_port_first_is_recognized(
    tmp_path: Path, shared_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = iter([shared_server.port, ports.free_port()])
    monkeypatch.setattr(ports, "free_port", lambda *, consecutive: next(choices))
    server = ValkeyServer(tmp_path)
    try:
        server.start()
        assert server.port != shared_server.port
        assert server.command("INFO", "server")["process_id"] == server.pid
    finally:
        server.kill()


def test_it_uses_jemalloc_if_this_machine_has_it(private_server: ValkeyServer) -> None:
    process = Path(f"/proc/{private_server.pid}")
    tuned = b"glibc.malloc.tcache_count" in (process / "environ").read_bytes()
    assert ("libjemalloc" in (process / "maps").read_text(), tuned) in {(True, False), (False, True)}
    assert tuned == (ctypes.util.find_library("jemalloc") is None)


def test_it_does_not_inherit_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKMANAGER_API_KEYS", "hush-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-aws")
    monkeypatch.setenv("TMPDIR", "hence")
    server = ValkeyServer(tmp_path)
    try:
        server.start()
        assert server.pid is not None
        memory = _written_memory(server.pid)
    finally:
        server.kill()
    assert b"hence" in memory
    assert b"hush" not in memory


def _written_memory(pid: int) -> bytes:
    """Return all memory that belongs to no file, where a server keeps its copy of its environment."""
    found = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, access, *_ = line.split()
            if access.startswith("rw") and "/" not in line:
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                found += memory.read(end - start)
    return found


def test_without_jemalloc_it_runs_with_a_larger_glibc_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    jemalloc._jemalloc.cache_clear()
    server = ValkeyServer(tmp_path)
    try:
        server.start()
        assert b"glibc.malloc.tcache_count" in Path(f"/proc/{server.pid}/environ").read_bytes()
    finally:
        server.kill()
        jemalloc._jemalloc.cache_clear()
