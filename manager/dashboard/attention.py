"""What needs a person, over all parts of the system."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from jobqueue.functions import FunctionRegistry
from manager.api_keys.caller import Caller
from manager.dashboard.sampler import Sample
from manager.dashboard.views.findings import (
    Finding,
    failing_functions,
    of_callbacks,
    of_scaler,
    of_schedules,
    stuck_queues,
)
from manager.http.dashboard_paths import QUEUES, WORKERS
from manager.http.permissions import allows
from manager.queue.connection import QueueConnection
from manager.queue.problems import (
    problems_of_modules,
    problems_of_moves,
    problems_of_queues,
    problems_of_servers,
    problems_of_settings,
    problems_of_shards,
)


class Attention:
    """Gathers the problems of the queue, its servers, the functions and the scaler."""

    def __init__(self, queue: QueueConnection, functions: FunctionRegistry) -> None:
        self._queue = queue
        self._functions = functions

    def problems(self, sample: Sample, caller: Caller) -> list[Finding]:
        """Return the problems that the caller is told, with pages that they may open."""
        found = self._find(sample, caller)
        return [each if allows(caller, "GET", each.page) else replace(each, page="") for each in found]

    def _find(self, sample: Sample, caller: Caller) -> Iterator[Finding]:
        counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
        if sample.error is not None:
            yield Finding(f"{_age_of(sample)}: {sample.error}")
        yield from _without_page(self._of_servers(sample, caller))
        if counts.suspended:
            yield Finding("all workers are suspended (rq suspend): they take no job until rq resume", WORKERS)
        yield from (Finding(text, QUEUES) for text in problems_of_queues(counts, sample.unserved))
        if caller.is_bound:
            return
        yield from stuck_queues(counts, sample.unserved, sample.workers)
        modules = problems_of_modules(self._functions.why_not_registered(), sample.workers)
        yield from (Finding(text, WORKERS) for text in modules)
        if sample.before is not None:
            yield from failing_functions(sample.before, counts)
        yield from of_schedules(sample.before, counts, sample.signs)
        yield from of_callbacks(counts)
        yield from of_scaler(sample.scaler, counts)

    def _of_servers(self, sample: Sample, caller: Caller) -> Iterator[str]:
        if sample.error is None:
            shards = self._queue.service.shards
            silent = "" if caller.is_bound else "; ".join(sample.signs.silent_servers)
            for text in problems_of_shards(sample.unavailable, len(shards)):
                yield f"{text} ({silent}): start the server again, or its replica" if silent else text
            yield from problems_of_moves(shards.moving)
        if caller.is_bound:
            return
        for reason in sample.signs.full_servers:
            yield f"{reason}: new jobs are refused until results are pulled or deleted, or it gets more memory"
        seen = sample.servers
        yield from problems_of_servers(self._queue.refused_servers, {} if seen is None else seen.unsound_files)
        yield from problems_of_settings(self._queue.risky_settings)
        if seen is None:
            text = "the main process of this manager does not answer, and it alone has the duties besides requests"
            yield f"{text}: read its log, and restart the manager if there is nothing"
        elif seen.cluster is not None:
            yield from seen.cluster["requires_operator"]


def _without_page(texts: Iterable[str]) -> Iterator[Finding]:
    return (Finding(text) for text in texts)


def _age_of(sample: Sample) -> str:
    if sample.read_at is None:
        return "Redis cannot be read, so there are no numbers yet"
    return f"Redis cannot be read: the numbers are from {sample.at - sample.read_at:,.0f} s ago"
