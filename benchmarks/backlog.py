"""The rates of PUT, batch, worker and pull with a million jobs queued, beside those with 10,000."""

from __future__ import annotations

import math
from functools import partial

from benchmarks.harness.contest import compete, options
from benchmarks.harness.filling import complete, fill
from benchmarks.harness.http_enqueue_load import load_enqueues
from benchmarks.harness.report import Figures, Report
from benchmarks.harness.store import store
from benchmarks.harness.system import manager, our_finished, our_queued, worker
from benchmarks.http_batch import batch_rate
from benchmarks.http_pull import TOP, VALUE, pull_rate
from benchmarks.worker_noop import drain_rate

SMALL = 10_000
# In a quick run as many as can be filled in its time.
_LARGE_QUICK, _LARGE_FULL = 150_000, 1_000_000
_RESULTS, _PUT, _BATCHES = 30_000, 30_000, 60
_LONG_ENOUGH_SECONDS = 60.0


def main() -> None:
    """Runs it."""
    told = options("backlog", __doc__ or "", quick_runs=1, full_runs=3)
    large = told.pick(_LARGE_QUICK, _LARGE_FULL)
    sizes = (SMALL, large) if told.quick else (SMALL, int(math.sqrt(SMALL * large)), large)
    report = Report("backlog", told.quick)
    report.begin()
    medians = compete(report, {_name(jobs): partial(_measure, jobs) for jobs in sizes}, told.runs)
    for figure in medians[_name(SMALL)]:
        points = [(float(jobs), medians[_name(jobs)][figure]) for jobs in sizes]
        report.curve(figure, "jobs queued", "1/s", points)
        report.aim(f"{figure} at {large:,} of that at {SMALL:,}", points[-1][1] / points[0][1], least=0.9)
    report.end()


def _name(jobs: int) -> str:
    return f"{jobs:,} queued"


def _measure(jobs: int) -> Figures:
    with store() as server:
        fill(server.url, jobs + _RESULTS, "noop")
        complete(server.url, _RESULTS, VALUE)
        server.settle()
        with manager(server) as (_, port):
            # Every part works on the same number of jobs, small beside the backlog, which is trimmed in between.
            pulled, _ = pull_rate(port, _LONG_ENOUGH_SECONDS, _RESULTS - 2 * TOP)
            put = load_enqueues(port, _LONG_ENOUGH_SECONDS, most=_PUT).answers_per_second
            complete(server.url, our_queued(server) - jobs, VALUE)
            batch, _ = batch_rate(port, _LONG_ENOUGH_SECONDS, most=_BATCHES)
            complete(server.url, our_queued(server) - jobs, VALUE)
        before = our_finished(server)
        run = drain_rate(server, lambda: worker(server, slots=1), SMALL, lambda: our_finished(server) - before)
        return {"put": put, "batch": batch, "run": run["jobs_per_second"], "pull": pulled}


if __name__ == "__main__":
    main()
