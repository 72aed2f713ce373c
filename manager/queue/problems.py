"""What keeps jobs from running, or can lose them, and needs a person, in sentences. Pure."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from jobqueue.inspection.counters import ShardCounts
from jobqueue.workers.registry import WorkerView
from processes.wording import counted


def problems_of_moves(moving: Mapping[str, float]) -> Iterator[str]:
    """Yield the shards that are being moved, given since how many seconds."""
    for shard, seconds in moving.items():
        yield f"shard {shard} is being moved to another Redis server, {seconds:.0f} s so far: its jobs wait until then"


def problems_of_modules(not_registered: Iterable[str], workers: Iterable[WorkerView]) -> Iterator[str]:
    """Yield the modules of functions that managers or workers cannot use."""
    for reason in not_registered:
        yield f"managers refuse jobs of a module: {reason}"
    workers_by_problem: dict[str, list[str]] = defaultdict(list)
    for worker in workers:
        for problem in worker.problems:
            workers_by_problem[problem].append(worker.name)
    for problem, names in sorted(workers_by_problem.items()):
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"jobs of a module fail on worker {names[0]}{others}: {problem}"


def problems_of_queues(counts: ShardCounts, unserved: Mapping[str, str]) -> Iterator[str]:
    """Yield the queues whose jobs wait although nothing is ahead of them; `unserved` says what to do for each."""
    jobs_by_cause = Counter[str]()
    for name in sorted({*counts.queues, *counts.paused}):
        queued = counts.queues[name].queued if name in counts.queues else 0
        if queued and name in unserved:
            jobs_by_cause[unserved[name]] += queued
        if queued and name in counts.paused:
            yield f"{jobs_wait(queued)}: queue {name!r} is paused"
    for cause, jobs in jobs_by_cause.items():
        yield f"{jobs_wait(jobs)}: {cause}"


def jobs_wait(number: int) -> str:
    """Return that so many jobs wait."""
    return f"{counted(number, 'job')} {'waits' if number == 1 else 'wait'}"


def how_to_resume(queue: str) -> str:
    """Return what ends the pause of a queue. It can be pasted: plain RQ clients name queues as they like."""
    path = f"/queues/{quote(queue, safe='', errors='surrogateescape')}/resume"
    return f"it is resumed (workmanager queues resume {shlex.quote(queue)}, or POST {path})"


def problems_of_servers(refused: Mapping[str, str], unsound: Mapping[str, str]) -> Iterator[str]:
    """Yield the Redis servers that are not used, and those that may not start again; each with the reason."""
    for server, reason in refused.items():
        yield f"Redis at {server} is refused: {reason}"
    for server, reason in unsound.items():
        yield f"Redis at {server} may not start again from its append-only file: {reason}"


def problems_of_settings(risky: Mapping[str, str]) -> Iterator[str]:
    """Yield the Redis servers whose settings can lose jobs; each with how, and what to set."""
    for server, risk in risky.items():
        yield f"Redis at {server} can lose jobs: {risk} (docs/redis.md)"


def problems_of_shards(unavailable: int, total: int) -> Iterator[str]:
    """Yield that shards do not answer, if some do not."""
    if unavailable:
        yield f"{unavailable} of {total} shards do not answer: their jobs wait, and are not counted here"
