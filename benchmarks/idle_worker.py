"""What an idle worker node costs: percent of a core for the agent with its executors, and for Redis."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.harness.comparison import compete, options
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import store
from benchmarks.harness.workmanager_programs import await_idle_worker, worker

OURS = "workmanager"
SLOTS = 2
_SETTLE_SECONDS = 3.0


def main() -> None:
    """Runs it."""
    told = options("idle_worker", __doc__ or "", quick_runs=2, full_runs=3)
    report = Report("idle_worker", told.quick)
    report.begin()
    medians = compete(report, {OURS: partial(_measure, told.pick(20, 60))}, told.runs)
    report.aim("percent of a core", medians[OURS]["worker_percent"], most=1.0)
    report.end()


def _measure(seconds: int) -> Figures:
    with store() as server, worker(server, slots=SLOTS) as node:
        await_idle_worker(server, node)
        time.sleep(_SETTLE_SECONDS)  # The executors start.
        worker_cpu, redis_cpu, begun = node.cpu_seconds, server.cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        passed = time.perf_counter() - begun
        return {
            "worker_percent": (node.cpu_seconds - worker_cpu) / passed * 100,
            "redis_percent": (server.cpu_seconds() - redis_cpu) / passed * 100,
        }


if __name__ == "__main__":
    main()
