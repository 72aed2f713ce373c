"""What needs a person, over all parts of the system."""

from collections.abc import Iterator

from jobqueue.functions import FunctionRegistry
from manager.api_keys.caller import Caller
from manager.cluster.reconciler import ClusterReconciler
from manager.dashboard.sampler import Sample
from manager.queue.connection import QueueConnection
from manager.queue.problems import (
    problems_of_modules,
    problems_of_moves,
    problems_of_queues,
    problems_of_servers,
    problems_of_shards,
)
from scaler.view import ScalerView


class Attention:
    """Gathers the problems of the queue, its servers, the functions and the scaler."""

    def __init__(
        self, queue: QueueConnection, functions: FunctionRegistry, reconciler: ClusterReconciler | None
    ) -> None:
        self._queue = queue
        self._functions = functions
        self._reconciler = reconciler

    def problems(self, sample: Sample, caller: Caller) -> list[str]:
        """Return the problems that the caller is told, in sentences."""
        counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
        problems = []
        if sample.error is not None:
            problems.append(f"{_age_of(sample)}: {sample.error}")
        problems += self._of_servers(sample, caller)
        if counts.suspended:
            problems.append("all workers are suspended (rq suspend): they take no job until rq resume")
        problems += problems_of_queues(counts, sample.unserved)
        if not caller.is_bound:
            problems += problems_of_modules(self._functions.why_not_registered(), sample.workers)
            problems += problems_of_scaler(sample.scaler)
        return problems

    def _of_servers(self, sample: Sample, caller: Caller) -> Iterator[str]:
        if sample.error is None:
            shards = self._queue.service.shards
            yield from problems_of_shards(sample.unavailable, len(shards))
            yield from problems_of_moves(shards.moving)
        if caller.is_bound:
            return
        watcher = self._queue if self._reconciler is None else self._reconciler
        yield from problems_of_servers(self._queue.refused_servers, watcher.unsound_files)
        if self._reconciler is not None and self._reconciler.state is not None:
            yield from self._reconciler.state.requires_operator


def _age_of(sample: Sample) -> str:
    if sample.read_at is None:
        return "Redis cannot be read, so there are no numbers yet"
    return f"Redis cannot be read: the numbers are from {sample.at - sample.read_at:,.0f} s ago"


def problems_of_scaler(view: ScalerView | None) -> Iterator[str]:
    """Yield why the scaler does not launch what is needed."""
    if view is None:
        return
    state = view.state
    if state.overrides.paused:
        yield "the scaler is paused: it launches and drains no workers until somebody resumes it"
    breaker = state.launch_breaker
    if breaker.cooling_pools(state.now) or (breaker.not_before or 0.0) > state.now:
        yield f"launches are held back: {breaker.last_failure}"
    if view.leadership is None and (state.instances or state.intents):
        yield "no manager runs the scaler, although it has instances: start a manager with --scaler"
