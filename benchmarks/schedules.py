"""Schedules that are all due at the same minute: runs enqueued per second by one manager, and by RQ's cron."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from redis import Redis
from rq.cron import CronScheduler

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from jobqueue.audit import Author
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.firing import ScheduleFiring
from manager.schedules.record import CatchUp, Progress, Schedule
from manager.schedules.store import Change, save_schedule
from manager.schedules.timing import Timing
from worker_node.functions import noop

OURS, RQ = "workmanager", "rq cron"
EVERY_MINUTE = "* * * * *"
START = 1_900_000_020.0
"""A whole minute. It is after the machine's time, so Redis expires nothing by itself."""


def main() -> None:
    """Run the benchmark."""
    options = parse_options("schedules", __doc__ or "", quick_runs=2, full_runs=5)
    report = BenchmarkReport("schedules", options.quick)
    report.print_machine()
    schedules, minutes = options.pick(200, 1000), 5
    contestants = {OURS: partial(_measure_ours, schedules, minutes), RQ: partial(_measure_rq, schedules, minutes)}
    medians = compare(report, contestants, options.runs)
    report.add_aim("times RQ's cron", medians[OURS]["runs_per_second"] / medians[RQ]["runs_per_second"], least=2.0)
    report.print_tables()


def _measure_ours(schedules: int, minutes: int) -> Figures:
    with redis_server() as server:
        return asyncio.run(_fire(server, schedules, minutes))


async def _fire(server: BenchmarkRedis, schedules: int, minutes: int) -> Figures:
    shards = await Shards.connect(server.url)
    try:
        firing, shard = ScheduleFiring(shards), shards.all[0]
        await _create(shard, schedules)
        measured = _Measured(server)
        for minute in range(1, minutes + 1):
            await firing.fire_due(shard, now=START + 60 * minute)
        return measured.figures(schedules * minutes)
    finally:
        await shards.close()


@contextlib.contextmanager
def due_schedules(url: str, schedules: int, runs: int) -> Iterator[None]:
    """Create schedules, and let one manager's part enqueue `runs` runs of them, one minute after the other."""
    ended = threading.Event()

    async def fire() -> None:
        shards = await Shards.connect(url)
        try:
            firing, shard = ScheduleFiring(shards), shards.all[0]
            await _create(shard, schedules)
            for minute in range(1, runs // schedules + 1):
                if ended.is_set():
                    break
                await firing.fire_due(shard, now=START + 60 * minute)
        finally:
            await shards.close()

    thread = threading.Thread(target=lambda: asyncio.run(fire()))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def _create(shard: Shard, schedules: int) -> None:
    for number in range(schedules):
        change = Change(Author("none", "", ""), "schedule_saved")
        await save_schedule(shard, _schedule(number), None, Progress("", START + 60), change)


def _schedule(number: int) -> Schedule:
    template = NewJob(id="", function="noop", data=b'["worker_node.functions.noop",null,[],{}]')
    timing = Timing(EVERY_MINUTE, None)
    catch_up = CatchUp(3600, "latest")
    return Schedule(f"s{number}", timing, "allow", catch_up, 0, None, {"function": "noop"}, template)


def _measure_rq(schedules: int, minutes: int) -> Figures:
    with redis_server() as server, Redis.from_url(server.url) as connection:
        scheduler = CronScheduler(connection, logging_level="WARNING")
        for number in range(schedules):
            scheduler.register(noop, "default", cron=EVERY_MINUTE, name=f"s{number}")
        measured = _Measured(server)
        for _ in range(minutes):
            for job in scheduler.get_jobs():
                job.next_enqueue_time = datetime.now(UTC)
            assert len(scheduler.enqueue_jobs()) == schedules
        return measured.figures(schedules * minutes)


class _Measured:
    def __init__(self, server: BenchmarkRedis) -> None:
        self._server = server
        self._redis_seconds = server.cpu_seconds()
        self._own_seconds, self._started_at = time.process_time(), time.perf_counter()

    def figures(self, runs: int) -> Figures:
        passed, own = time.perf_counter() - self._started_at, time.process_time() - self._own_seconds
        queued = self._server.client.llen("rq:queue:default")
        assert queued == runs, f"{queued} of {runs} runs are queued"
        return {
            "runs_per_second": runs / passed,
            "scheduler_us_per_run": own / runs * 1e6,
            "redis_us_per_run": (self._server.cpu_seconds() - self._redis_seconds) / runs * 1e6,
        }


if __name__ == "__main__":
    main()
