"""Rate of `POST /jobs/batch` on one manager: jobs/s, each job stored before its line is answered."""

import json
from base64 import b64encode
from functools import partial
from itertools import islice
from secrets import token_bytes

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_load import WARM_UP_SECONDS, LoadGenerator, repeat_forever, request
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import count_queued, running_manager

OURS = "workmanager"
CONNECTIONS = 4
LINES = 1000


def main() -> None:
    """Run the benchmark."""
    options = parse_options("http_batch", __doc__ or "")
    report = BenchmarkReport("http_batch", options.quick)
    report.print_machine()
    medians = compare(report, {OURS: partial(_measure, options.pick(3, 8))}, options.runs)
    report.add_aim("jobs/s", medians[OURS]["jobs_per_second"], least=30_000)
    report.print_tables()


def batch_requests(count: int = 8) -> list[bytes]:
    """Return requests of `LINES` jobs each: SHA-512 of 64 random bytes."""
    return [request("POST", "/jobs/batch", _lines(), "application/x-ndjson") for _ in range(count)]


def measure_batch_rate(port: int, seconds: float, *, max_requests: int | None = None) -> tuple[float, int]:
    """Send batches; return jobs/s and the number of all accepted jobs. Sends at most `max_requests` requests."""
    accepted = 0

    def check(answer: bytes) -> None:
        nonlocal accepted
        # Counted without parsing; a refused line has "error" instead of "id".
        lines = answer.count(b'{"id"')
        assert lines == LINES, f"{lines} of {LINES} lines were accepted: {answer[:300]!r}"
        accepted += lines

    generator = LoadGenerator(port, CONNECTIONS, on_answer=check)
    try:
        load = generator.closed_loop(
            islice(repeat_forever(batch_requests()), max_requests), warm_up_seconds=WARM_UP_SECONDS, seconds=seconds
        )
    finally:
        generator.close()
    return load.answers_per_second * LINES, accepted


def _lines() -> bytes:
    jobs = [
        {"function": "sha512", "data": b64encode(token_bytes(64)).decode(), "kwargs": {"iterations": 1}}
        for _ in range(LINES)
    ]
    return "".join(json.dumps(job) + "\n" for job in jobs).encode()


def _measure(seconds: int) -> Figures:
    with redis_server() as server, running_manager(server) as (program, port):
        program_cpu, redis_cpu = program.cpu_seconds, server.cpu_seconds()
        rate, accepted = measure_batch_rate(port, seconds)
        stored = count_queued(server)
        assert stored == accepted, f"{accepted} jobs answered, {stored} stored"
        return {
            "jobs_per_second": rate,
            "server_us_per_job": (program.cpu_seconds - program_cpu) / accepted * 1e6,
            "redis_us_per_job": (server.cpu_seconds() - redis_cpu) / accepted * 1e6,
        }


if __name__ == "__main__":
    main()
