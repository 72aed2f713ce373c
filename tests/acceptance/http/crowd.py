"""Connections that do nothing, or next to nothing, and what they cost the clients that work.

`python -m tests.acceptance.http.crowd` measures it on a machine that does nothing else.
"""

import contextlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
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


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    pid = manager.process.pid
    load(manager.port, 2.0)
    memory = memory_mebibytes(pid)
    alone, beside = [], []
    grown = 0.0
    for _ in range(rounds):
        alone.append(_figures(manager))
        with crowd(manager.port):
            beside.append(_figures(manager))
            grown = memory_mebibytes(pid) - memory
    (late, busy), (late_beside, busy_beside) = zip(*alone, strict=True), zip(*beside, strict=True)
    crowded = f"beside {IDLE} idle and {SLOW} slow"
    sys.stdout.write(
        f"p99 of {RATE} requests/s, ms: alone {_shown(late)}; {crowded} {_shown(late_beside)}\n"
        f"the manager's processor time, % of a core: alone {_shown(busy)}; {crowded} {_shown(busy_beside)}\n"
        f"ratios of the medians {statistics.median(late_beside) / statistics.median(late):.2f} and"
        f" {statistics.median(busy_beside) / statistics.median(busy):.2f}; memory + {grown:.0f} MiB\n"
    )
    if shutil.which("wrk"):
        subprocess.run(["wrk", "-t2", "-c256", "-d10s", "--latency", f"{manager.url}/healthz"], check=True)


def _figures(manager: ManagerProgram) -> tuple[float, float]:
    """Return the 99th percentile under load, ms, and the manager's processor time, % of a core."""
    at, used = time.monotonic(), processor_seconds(manager.process.pid)
    milliseconds = load(manager.port, 5.0).milliseconds(0.99)
    return milliseconds, (processor_seconds(manager.process.pid) - used) / (time.monotonic() - at) * 100


def _shown(values: Sequence[float]) -> str:
    return " ".join(f"{value:.1f}" for value in values)


if __name__ == "__main__":
    main()
