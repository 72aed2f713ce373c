"""Rate of `PUT /enqueue` (64 bytes, 64 connections) on one manager, compared with FastAPI + RQ and bare ASGI."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import httpx

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import BenchmarkOptions, compare, parse_options
from benchmarks.harness.environments import FASTAPI_RQ
from benchmarks.harness.http_enqueue_load import run_enqueue_load
from benchmarks.harness.measured_programs import MeasuredProgram, running_program, wait_until
from benchmarks.harness.peers import PEER_APPS
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import running_manager
from jobqueue import keys
from jobqueue.model import DEFAULT_QUEUE
from workmanager.local import ports

OURS, PEER, BARE = "workmanager", "fastapi + rq", "bare asgi"
RQ_QUEUE = keys.queue("rq", DEFAULT_QUEUE)
_SERVER = ("--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "warning")


def main() -> None:
    """Run the benchmark."""
    options = parse_options("http_enqueue", __doc__ or "")
    FASTAPI_RQ.ensure()
    report = BenchmarkReport("http_enqueue", options.quick)
    report.print_machine()
    contestants: dict[str, Callable[[], Figures]] = {
        OURS: partial(_measure_ours, options, access_log=False),
        f"{OURS}, access log": partial(_measure_ours, options, access_log=True),
        PEER: partial(_measure_peer, options),
        BARE: partial(_measure_bare, options),
    }
    rates = {
        name: figures["answers_per_second"] for name, figures in compare(report, contestants, options.runs).items()
    }
    report.add_aim("times FastAPI + RQ", rates[OURS] / rates[PEER], least=5.0)
    report.add_aim("of a bare ASGI answer", rates[OURS] / rates[BARE], least=0.5)
    report.print_tables()


def _measure_ours(options: BenchmarkOptions, *, access_log: bool) -> Figures:
    with redis_server() as server, running_manager(server, access_log=access_log) as (program, port):
        return _measure(server, program, port, options, queue_key=RQ_QUEUE)


def _measure_peer(options: BenchmarkOptions) -> Figures:
    command = [FASTAPI_RQ.program("uvicorn"), "fastapi_rq_app:app", "--app-dir", str(PEER_APPS)]
    with redis_server() as server, _served(server, command) as (program, port):
        return _measure(server, program, port, options, queue_key=RQ_QUEUE)


def _measure_bare(options: BenchmarkOptions) -> Figures:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.harness.bare_asgi:app"]
    with redis_server() as server, _served(server, command) as (program, port):
        return _measure(server, program, port, options, queue_key=None)


@contextlib.contextmanager
def _served(server: BenchmarkRedis, command: Sequence[str]) -> Iterator[tuple[MeasuredProgram, int]]:
    port = ports.free_port()
    environ = {"FASTAPI_RQ_APP_URL": server.url}
    with running_program(
        [*command, "--port", str(port), *_SERVER], server.directory / "peer.log", environ=environ
    ) as program:
        wait_until(lambda: _answers(port), seconds=30, wanted="a server that answers", program=program)
        yield program, port


def _measure(
    server: BenchmarkRedis, program: MeasuredProgram, port: int, options: BenchmarkOptions, *, queue_key: str | None
) -> Figures:
    program_cpu, redis_cpu = program.cpu_seconds, server.cpu_seconds()
    load = run_enqueue_load(port, options.pick(3, 8))
    program_cpu, redis_cpu = program.cpu_seconds - program_cpu, server.cpu_seconds() - redis_cpu
    if queue_key is not None:
        count = server.masters[0].llen(queue_key)
        assert count == load.answers, f"{load.answers} answers, but {count} jobs stored"
    return {
        "answers_per_second": load.answers_per_second,
        "p50_ms": load.milliseconds(0.5),
        "p99_ms": load.milliseconds(0.99),
        "server_us_per_answer": program_cpu / load.answers * 1e6,
        "redis_us_per_answer": redis_cpu / load.answers * 1e6,
    }


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=2)
    except httpx.TransportError:
        return False
    return True


if __name__ == "__main__":
    main()
