"""Two thousand streams of events at one manager, at five thousand changes of jobs a second.

Half of the streams follow one running job each, which tells how far it is. The others follow the changes of one label
each, so that every change goes to one stream. Jobs are enqueued, claimed and finished by a program that stands for
managers and workers.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import quantiles

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import running_program, wait_until
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import running_manager
from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Finished, finish
from jobqueue.lifecycle.notes import JobNotes, save_notes
from jobqueue.model import NewJob
from jobqueue.sharding.shards import Shards

OURS = "workmanager"
JOB_STREAMS = LABEL_STREAMS = 1000
ROUNDS_PER_SECOND = 25
JOBS_PER_ROUND, NOTES_PER_ROUND = 53, 41
"""A job changes three times, a note once: 200 changes in a round."""
CHANGES_PER_ROUND = 3 * JOBS_PER_ROUND + NOTES_PER_ROUND
WARM_UP_ROUNDS = 50
OPENING = 50
"""How many streams are being opened at a time."""
QUIET_SECONDS = 3.0
"""How long the streams wait, after the load has ended, for what is still to come."""
_DATA = b'["worker_node.functions.noop", null, [], {}]'
_CLAIMED, _OPEN, _MEASURED, _DONE, _TOLD = "claimed", "open", "measured", "done", "told.json"
"""Files by which the programs tell each other how far they are."""


def main() -> None:
    """Run the benchmark, or with `load` or `streams` as first argument one of its programs."""
    if sys.argv[1:2] == ["load"]:
        asyncio.run(_load(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
        return
    if sys.argv[1:2] == ["streams"]:
        asyncio.run(_Streams(int(sys.argv[2]), Path(sys.argv[3])).run())
        return
    options = parse_options("event_streams", __doc__ or "", quick_runs=1, full_runs=3)
    report = BenchmarkReport("event_streams", options.quick)
    report.print_machine()
    compare(report, {OURS: partial(_measure, options.pick(10, 30))}, options.runs)
    report.print_tables()


def _measure(seconds: int) -> Figures:
    with redis_server() as server, ExitStack() as stack:
        manager, port = stack.enter_context(running_manager(server))
        files = server.directory
        module = [sys.executable, "-m", "benchmarks.event_streams"]
        command = [*module, "load", server.url, str(seconds), str(files)]
        load = stack.enter_context(running_program(command, files / "load.log"))
        wait_until((files / _CLAIMED).exists, seconds=60, wanted="running jobs", program=load)
        command = [*module, "streams", str(port), str(files)]
        streams = stack.enter_context(running_program(command, files / "streams.log"))
        wait_until((files / _OPEN).exists, seconds=300, wanted="open streams", program=streams)
        wait_until((files / _MEASURED).exists, seconds=60, wanted="changes", program=load)
        manager_cpu, redis_cpu, at = manager.cpu_seconds, server.cpu_seconds(), time.perf_counter()
        wait_until((files / _DONE).exists, seconds=seconds * 20, wanted="the end of the changes", program=load)
        passed = time.perf_counter() - at
        manager_cpu, redis_cpu = manager.cpu_seconds - manager_cpu, server.cpu_seconds() - redis_cpu
        wait_until((files / _TOLD).exists, seconds=60, wanted="the delays", program=streams)
        told = json.loads((files / _TOLD).read_text())
        changes = seconds * ROUNDS_PER_SECOND * CHANGES_PER_ROUND
        return {
            "changes_per_second": changes / passed,
            "told_share": told["told"] / changes,
            "p50_ms": told["p50_ms"],
            "p99_ms": told["p99_ms"],
            "streams_with_gaps": told["gaps"],
            "streams_ended": told["ended"],
            "manager_us_per_change": manager_cpu / changes * 1e6,
            "redis_us_per_change": redis_cpu / changes * 1e6,
        }


async def _load(url: str, seconds: int, files: Path) -> None:
    """Change jobs at a steady rate, or as fast as the machine can."""
    shards = await Shards.connect(url)
    (shard,) = shards
    await enqueue(shard, [_job(f"watched-{number}") for number in range(JOB_STREAMS)])
    running: list[ClaimedJob] = []
    while len(running) < JOB_STREAMS:
        running += await claim(shard, "load", ["default"], JOB_STREAMS, lease_seconds=3600)
    (files / _CLAIMED).touch()
    await _until((files / _OPEN).exists)
    due = time.monotonic()
    for number in range(WARM_UP_ROUNDS + seconds * ROUNDS_PER_SECOND):
        if number == WARM_UP_ROUNDS:
            (files / _MEASURED).write_text(str(time.time()))
        first = number * JOBS_PER_ROUND
        await enqueue(shard, [_job(f"job-{at}", at % LABEL_STREAMS) for at in range(first, first + JOBS_PER_ROUND)])
        claimed = await claim(shard, "load", ["default"], JOBS_PER_ROUND, lease_seconds=60)
        await finish(shard, "load", [Finished(job, "noop", 0.0, b"bnVsbA==", False) for job in claimed])
        progress = json.dumps({"done": number, "total": None, "text": "", "at": time.time()})
        first = number * NOTES_PER_ROUND
        tellers = [running[at % JOB_STREAMS] for at in range(first, first + NOTES_PER_ROUND)]
        await save_notes(shard, [JobNotes(job, progress) for job in tellers])
        due += 1 / ROUNDS_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    (files / _DONE).touch()
    await asyncio.sleep(3600)


def _job(job_id: str, label: int | None = None) -> NewJob:
    labels = None if label is None else json.dumps({"of": str(label)})
    return NewJob(id=job_id, function="noop", data=_DATA, labels=labels)


class _Streams:
    """Holds the streams, and notes how late each change is told.

    Args:
        files: where to write the result.
    """

    def __init__(self, port: int, files: Path) -> None:
        self._port = port
        self._files = files
        self._told: list[tuple[float, float]] = []
        self._opened = self._ended = self._gaps = 0

    async def run(self) -> None:
        """Read until nothing more comes after the end of the load."""
        paths = [f"/jobs/watched-{number}/events" for number in range(JOB_STREAMS)]
        paths += [f"/events?label=of:{number}" for number in range(LABEL_STREAMS)]
        tasks = []
        for number, path in enumerate(paths, 1):
            tasks.append(asyncio.create_task(self._follow(path)))
            await _until(partial(self._has_opened, number - OPENING))
        await _until(partial(self._has_opened, len(paths)))
        (self._files / _OPEN).touch()
        await _until((self._files / _DONE).exists)
        await asyncio.sleep(QUIET_SECONDS)
        begin = float((self._files / _MEASURED).read_text())
        delays = [told_at - at for at, told_at in self._told if at >= begin]
        cuts = quantiles(delays, n=100)
        result = {
            "told": len(delays),
            "p50_ms": cuts[49] * 1000,
            "p99_ms": cuts[98] * 1000,
            "gaps": self._gaps,
            "ended": self._ended,
        }
        file = self._files / "unfinished"
        file.write_text(json.dumps(result))
        file.rename(self._files / _TOLD)
        for task in tasks:
            task.cancel()

    def _has_opened(self, count: int) -> bool:
        return self._opened >= count

    async def _follow(self, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        is_first = True
        while line := await reader.readline():
            if not line.startswith(b"data: "):
                continue
            if is_first:
                # The snapshot, or the status of the job.
                is_first = False
                self._opened += 1
                continue
            told = json.loads(line[6:])
            if "at" not in told:
                # A gap has its reason, and a snapshot follows.
                self._gaps += "reason" in told
                continue
            at = told["at"]
            self._told.append((at if isinstance(at, float) else datetime.fromisoformat(at).timestamp(), time.time()))
        self._ended += 1


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # another process makes it true
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main()
