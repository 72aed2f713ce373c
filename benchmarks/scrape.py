"""Processor time of a manager for one scrape of its metrics: 1,000 queues, each with jobs and three histograms.

Between two scrapes, the histograms of no queue have changed, or those of all.
"""

import json
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial

import orjson

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_load import Connection, request
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import running_manager
from jobqueue import keys
from jobqueue.lifecycle.times import HISTOGRAMS, Times
from jobqueue.sharding.layout import Layout

QUEUES = 1_000
_JOBS = 20
"""That change a histogram between two scrapes."""
_KINDS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}


def main() -> None:
    """Run the benchmark."""
    options = parse_options("scrape", __doc__ or "", quick_runs=1, full_runs=3)
    report = BenchmarkReport("scrape", options.quick)
    report.print_machine()
    contestants = {
        f"{name}, {'all' if changing else 'none'} changed": partial(_measure, options.pick(20, 100), accepted, changing)
        for name, accepted in _KINDS.items()
        for changing in (False, True)
    }
    medians = compare(report, contestants, options.runs)
    for name, figures in medians.items():
        report.add_aim(f"{name}, processor ms", figures["manager_cpu_ms"], most=20.0)
    report.print_tables()


def _measure(scrapes: int, accepted: str, changing: bool) -> Figures:
    with redis_server() as server, running_manager(server) as (program, port):
        http = Connection(port)
        lines = b"".join(orjson.dumps({"function": "noop", "queue": f"queue-{n}"}) + b"\n" for n in range(QUEUES))
        http.exchange(request("POST", "/jobs/batch", lines, "application/x-ndjson"))
        key = keys.times(_only_prefix(server))
        stored = [_times() for _ in range(2)]
        _store(server, key, stored[0])
        message = request("GET", "/metrics").replace(b"\r\n", b"\r\nAccept: " + accepted.encode() + b"\r\n", 1)
        assert http.exchange(message).count(b"_end_to_end_seconds_count{") == QUEUES
        used, waited, redis_before = [], [], server.cpu_seconds()
        for number in range(scrapes):
            if changing:
                _store(server, key, stored[number % 2])
            before, started_at = program.own_cpu_seconds, time.perf_counter()
            http.exchange(message)
            waited.append(time.perf_counter() - started_at)
            used.append(program.own_cpu_seconds - before)
        return {
            "manager_cpu_ms": statistics.median(used) * 1000,
            "wall_ms": statistics.median(waited) * 1000,
            "redis_cpu_ms": (server.cpu_seconds() - redis_before) / scrapes * 1000,
        }


def _only_prefix(server: BenchmarkRedis) -> str:
    text = server.client.get(keys.LAYOUT)
    assert isinstance(text, bytes)
    (prefix,) = Layout.from_json(text).prefixes
    return prefix


def _store(server: BenchmarkRedis, key: str, times: Mapping[str, str]) -> None:
    words = [word for pair in times.items() for word in pair]
    server.masters[0].execute_command("HSET", key, *words)  # type: ignore[no-untyped-call]


def _times() -> dict[str, str]:
    """Return histograms as workers store them, by queue and function."""
    return {json.dumps([f"queue-{number}", "noop"]): times.encode() for number, times in enumerate(_each_times())}


def _each_times() -> Iterator[Times]:
    for _ in range(QUEUES):
        times = Times()
        for histogram in range(len(HISTOGRAMS)):
            for _ in range(_JOBS):
                job_id = f"{random.getrandbits(128):032x}"
                times.observe(histogram, random.expovariate(1.0), random.randint(1, 1000), job_id, time.time())
        yield times


if __name__ == "__main__":
    main()
