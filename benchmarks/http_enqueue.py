"""`PUT /enqueue` of 64 bytes over 64 connections to one manager process, beside FastAPI with RQ and a bare answer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import httpx

from benchmarks.harness.comparison import Options, compete, options
from benchmarks.harness.environments import FASTAPI_RQ
from benchmarks.harness.http_enqueue_load import load_enqueues
from benchmarks.harness.peers import SIDES
from benchmarks.harness.measured_programs import Program, await_true, running
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import Store, store
from benchmarks.harness.workmanager_programs import manager
from workmanager.local import ports

OURS, PEER, BARE = "workmanager", "fastapi + rq", "bare asgi"
_SERVER = ("--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "warning")


def main() -> None:
    """Runs it."""
    told = options("http_enqueue", __doc__ or "")
    FASTAPI_RQ.ensure()
    report = Report("http_enqueue", told.quick)
    report.begin()
    contestants: dict[str, Callable[[], Figures]] = {
        OURS: partial(_measure_ours, told, access_log=False),
        f"{OURS}, access log": partial(_measure_ours, told, access_log=True),
        PEER: partial(_measure_peer, told),
        BARE: partial(_measure_bare, told),
    }
    rates = {name: figures["answers_per_second"] for name, figures in compete(report, contestants, told.runs).items()}
    report.aim("times FastAPI + RQ", rates[OURS] / rates[PEER], least=5.0)
    report.aim("of a bare ASGI answer", rates[OURS] / rates[BARE], least=0.5)
    report.end()


def _measure_ours(told: Options, *, access_log: bool) -> Figures:
    with store() as server, manager(server, access_log=access_log) as (program, port):
        return _measure(server, program, port, told, stored="rq:queue:default")


def _measure_peer(told: Options) -> Figures:
    command = [FASTAPI_RQ.program("uvicorn"), "fastapi_rq_side:app", "--app-dir", str(SIDES)]
    with store() as server, _served(server, command) as (program, port):
        return _measure(server, program, port, told, stored="rq:queue:default")


def _measure_bare(told: Options) -> Figures:
    command = [sys.executable, "-m", "uvicorn", "benchmarks.harness.bare_asgi:app"]
    with store() as server, _served(server, command) as (program, port):
        return _measure(server, program, port, told, stored=None)


@contextlib.contextmanager
def _served(server: Store, command: Sequence[str]) -> Iterator[tuple[Program, int]]:
    port = ports.free_port()
    environ = {"FASTAPI_RQ_SIDE_URL": server.url}
    with running([*command, "--port", str(port), *_SERVER], server.directory / "peer.log", environ=environ) as program:
        await_true(lambda: _answers(port), seconds=30, wanted="a server that answers", program=program)
        yield program, port


def _measure(server: Store, program: Program, port: int, told: Options, *, stored: str | None) -> Figures:
    program_cpu, redis_cpu = program.cpu_seconds, server.cpu_seconds()
    load = load_enqueues(port, told.pick(3, 8))
    program_cpu, redis_cpu = program.cpu_seconds - program_cpu, server.cpu_seconds() - redis_cpu
    if stored is not None:
        count = server.masters[0].llen(stored)
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
