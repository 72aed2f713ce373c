"""Connections that do nothing, or next to nothing, and what they cost the clients that work.

`python -m tests.acceptance.http.crowd` measures it on a machine that does nothing else.
"""

import contextlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.http_enqueue_load import enqueue_requests
from benchmarks.harness.http_load import LoadGenerator, LoadResult, repeat_forever
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

IDLE, SLOW = 10_000, 500
DRIP_SECONDS = 1.0
RATE = 1000
"""Requests per second of those that work."""
_SERVED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HALF_HEAD = b"PUT /enqueue?iterations=1 HTTP/1.1\r\nHost: localhost\r\nX: "
_HALF_BODY = b"PUT /enqueue?iterations=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


@contextlib.contextmanager
def crowd(port: int, idle: int = IDLE, slow: int = SLOW) -> Iterator[list[socket.socket]]:
    """Hold connections: half of the idle ones have never asked, half of the slow ones are in a head, half in a body."""
    _allow_descriptors(idle + slow + 1000)
    stopping = threading.Event()
    with contextlib.ExitStack() as stack:

        def connect(data: bytes) -> socket.socket:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(data)
            return connection

        held = [connect(b"" if number % 2 else _SERVED) for number in range(idle)]
        dripping = [connect(_HALF_HEAD if number % 2 else _HALF_BODY) for number in range(slow)]
        dripper = threading.Thread(target=_drip, args=(dripping, stopping))
        dripper.start()
        try:
            yield held + dripping
        finally:
            stopping.set()
            dripper.join()


def load(port: int, seconds: float, connections: int = 16) -> LoadResult:
    """Submit jobs at a constant rate, and return how long each took."""
    generator = LoadGenerator(port, connections)
    try:
        return generator.open_loop(
            repeat_forever(enqueue_requests()), per_second=RATE, warm_up_seconds=0.5, seconds=seconds
        )
    finally:
        generator.close()


def memory_mebibytes(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def _drip(connections: list[socket.socket], stopping: threading.Event) -> None:
    while not stopping.wait(DRIP_SECONDS):
        for connection in connections:
            with contextlib.suppress(OSError):  # it was cut off
                connection.send(b"x")


def _allow_descriptors(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def main() -> None:
    """Measure a manager in turns without and with the crowd, and let wrk ask as fast as it can."""
    with tempfile.TemporaryDirectory() as name:
        server = ValkeyServer(Path(name) / "valkey")
        server.start()
        manager = ManagerProgram(Path(name) / "managers", server.url, ACCESS_LOG="false").wait_until_ready()
        try:
            _measure(manager)
        finally:
            manager.kill()
            server.kill()


def _measure(manager: ManagerProgram, rounds: int = 5) -> None:
    load(manager.port, 2.0)
    memory = memory_mebibytes(manager.process.pid)
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(load(manager.port, 5.0).milliseconds(0.99))
        with crowd(manager.port):
            beside.append(load(manager.port, 5.0).milliseconds(0.99))
            grown = memory_mebibytes(manager.process.pid) - memory
    ratio = statistics.median(beside) / statistics.median(alone)
    sys.stdout.write(
        f"p99 of {RATE} requests/s, ms: alone {_shown(alone)}; beside {IDLE} idle and {SLOW} slow {_shown(beside)}\n"
        f"ratio of the medians {ratio:.2f}; memory + {grown:.0f} MiB\n"
    )
    if shutil.which("wrk"):
        subprocess.run(["wrk", "-t2", "-c256", "-d10s", "--latency", f"{manager.url}/healthz"], check=True)


def _shown(values: list[float]) -> str:
    return " ".join(f"{value:.1f}" for value in values)


if __name__ == "__main__":
    main()
