"""The manager and worker programs of this project, started as the deployment starts them."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.harness.measured_programs import MeasuredProgram, running_program, wait_until
from benchmarks.harness.redis_servers import BenchmarkRedis
from jobqueue import keys
from jobqueue.model import DEFAULT_QUEUE
from jobqueue.sharding.layout import Layout
from workmanager.local import ports

_READY_SECONDS = 30.0


@contextlib.contextmanager
def running_manager(
    server: BenchmarkRedis, *, access_log: bool = False, processes: int = 1
) -> Iterator[tuple[MeasuredProgram, int]]:
    """Run one manager without a scaler; yield it and its port once all its processes are ready."""
    port = ports.free_port()
    command = [sys.executable, "-m", "manager", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--redis-url", server.url, "--scaler", "none", "--processes", str(processes)]
    environ = {"WORKMANAGER_ACCESS_LOG": "true" if access_log else "false"}
    log = server.directory / "manager.log"  # Of all managers of this server.
    connected_before = _connected(log)
    with running_program(command, log, environ=environ) as program:
        wait_until(lambda: _is_ready(port), seconds=_READY_SECONDS, wanted="a ready manager", program=program)
        wait_until(
            lambda: _connected(program.log) - connected_before == processes,
            seconds=_READY_SECONDS,
            wanted=f"{processes} ready processes",
            program=program,
        )
        yield program, port


@contextlib.contextmanager
def running_worker(
    server: BenchmarkRedis, *, slots: int, burst: bool = False, nice: int = 0, **settings: str
) -> Iterator[MeasuredProgram]:
    """Run one worker node. `nice` is the CPU niceness of its job processes; `settings` are others by their names."""
    command = [sys.executable, "-m", "worker_node", "--redis-url", server.url, "--slots", str(slots)]
    environ = {"WORKMANAGER_NICE": str(nice)} | {f"WORKMANAGER_{name}": value for name, value in settings.items()}
    with running_program(
        [*command, *(["--burst"] if burst else [])], server.directory / "worker.log", environ=environ
    ) as program:
        yield program


def wait_for_idle_worker(server: BenchmarkRedis, program: MeasuredProgram) -> None:
    """Wait until the worker is registered, so that it claims jobs."""
    wait_until(lambda: _workers(server), seconds=_READY_SECONDS, wanted="a registered worker", program=program)


def count_finished(server: BenchmarkRedis) -> int:
    """Return the number of finished jobs of the default queue."""
    return sum(
        _size(server.client.zcard(keys.registry(prefix, "finished", DEFAULT_QUEUE))) for prefix in _prefixes(server)
    )


def count_queued(server: BenchmarkRedis) -> int:
    """Return the number of queued jobs of the default queue."""
    return sum(_size(server.client.llen(keys.queue(prefix, DEFAULT_QUEUE))) for prefix in _prefixes(server))


def _workers(server: BenchmarkRedis) -> int:
    return min((_size(server.client.scard(keys.workers(prefix))) for prefix in _prefixes(server)), default=0)


def _prefixes(server: BenchmarkRedis) -> tuple[str, ...]:
    text = server.client.get(keys.LAYOUT)
    return Layout.from_json(text).prefixes if isinstance(text, bytes) else ()


def _size(answer: object) -> int:
    assert isinstance(answer, int)
    return answer


def _connected(log: Path) -> int:
    return log.read_text().count("event=queue_connected") if log.exists() else 0


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).is_success
    except httpx.TransportError:
        return False
