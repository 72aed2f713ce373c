"""`POST /jobs/batch` on one manager process: jobs/s, every job stored before its line is answered."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from itertools import islice
from secrets import token_bytes

from benchmarks.harness.comparison import compete, options
from benchmarks.harness.http_load import WARM_UP_SECONDS, Generator, endlessly, request
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import store
from benchmarks.harness.workmanager_programs import manager, our_queued

OURS = "workmanager"
CONNECTIONS = 4
LINES = 1000


def main() -> None:
    """Runs it."""
    told = options("http_batch", __doc__ or "")
    report = Report("http_batch", told.quick)
    report.begin()
    medians = compete(report, {OURS: partial(_measure, told.pick(3, 8))}, told.runs)
    report.aim("jobs/s", medians[OURS]["jobs_per_second"], least=30_000)
    report.end()


def batches(count: int = 8) -> list[bytes]:
    """Requests of `LINES` jobs each: SHA-512 of 64 random bytes."""
    return [request("POST", "/jobs/batch", _lines(), "application/x-ndjson") for _ in range(count)]


def batch_rate(port: int, seconds: float, *, most: int | None = None) -> tuple[float, int]:
    """Jobs/s, and how many were taken in all; at most `most` requests are sent."""
    taken = 0

    def check(answer: bytes) -> None:
        nonlocal taken
        # Counted without being parsed; "error" would stand in place of "id".
        lines = answer.count(b'{"id"')
        assert lines == LINES, f"{lines} of {LINES} lines were taken: {answer[:300]!r}"
        taken += lines

    generator = Generator(port, CONNECTIONS, on_answer=check)
    try:
        load = generator.closed_loop(
            islice(endlessly(batches()), most), warm_up_seconds=WARM_UP_SECONDS, seconds=seconds
        )
    finally:
        generator.close()
    return load.answers_per_second * LINES, taken


def _lines() -> bytes:
    jobs = [
        {"function": "sha512", "data": b64encode(token_bytes(64)).decode(), "kwargs": {"iterations": 1}}
        for _ in range(LINES)
    ]
    return "".join(json.dumps(job) + "\n" for job in jobs).encode()


def _measure(seconds: int) -> Figures:
    with store() as server, manager(server) as (program, port):
        program_cpu, redis_cpu = program.cpu_seconds, server.cpu_seconds()
        rate, taken = batch_rate(port, seconds)
        stored = our_queued(server)
        assert stored == taken, f"{taken} jobs answered, {stored} stored"
        return {
            "jobs_per_second": rate,
            "server_us_per_job": (program.cpu_seconds - program_cpu) / taken * 1e6,
            "redis_us_per_job": (server.cpu_seconds() - redis_cpu) / taken * 1e6,
        }


if __name__ == "__main__":
    main()
