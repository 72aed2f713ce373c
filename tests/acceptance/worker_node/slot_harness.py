"""A slot with real executor processes and without Redis."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.finish import Failed, Finished, Outcome
from jobqueue.lifecycle.notes import NewLine
from tests.waiting import DEADLINE_SECONDS, until_async
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.orphans import OrphanReaper
from worker_node.slots.prefetch import PrefetchController
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.reports import ReportChecker
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import Reply, SlotEvents

JOBS = "tests.acceptance.worker_node.job_functions"
MIB = 1 << 20


def value_of(outcome: Outcome) -> Any:
    """Return the result of a job that must have succeeded."""
    assert isinstance(outcome, Finished), outcome
    return json.loads(base64.b64decode(outcome.value))


class SlotHarness:
    """A slot, and everything that it reports.

    Attributes:
        ended: outcomes, in order of arrival.
        reported_at: when each arrived, by the monotonic clock.
        queries: (job id, verb, field, value) of each query of a running job.
        printed: lines that jobs have printed, by their ids: stream and text.
        answers: the answer to a query, by field, or by verb if it names no field.
    """

    def __init__(self, limits: RecyclingLimits, options: ExecutorOptions, keep_output: str) -> None:
        self.ended: list[Outcome] = []
        self.reported_at: list[float] = []
        self.released: list[ClaimedJob] = []
        self.suspected: list[ClaimedJob] = []
        self.queries: list[tuple[str, str, str, bytes]] = []
        self.printed: dict[str, list[tuple[str, str]]] = {}
        self.answers: dict[str, Any] = {}
        checker = ReportChecker(FunctionRegistry.load(",".join(options.functions).split(",")))
        events = SlotEvents(
            ended=self._on_ended,
            released=self.released.extend,
            suspected=self.suspected.append,
            printed=self._on_printed,
            queried=self._on_queried,
            capacity_freed=lambda: None,
        )
        prefetch = PrefetchController()
        self.slot = Slot(0, options, limits, OrphanReaper(), prefetch, checker, events, keep_output=keep_output)
        self.running = asyncio.create_task(self.slot.run())
        self._number = 0

    def _on_ended(self, outcomes: Sequence[Outcome]) -> None:
        self.ended.extend(outcomes)
        self.reported_at += [monotonic()] * len(outcomes)

    async def ready(self) -> None:
        """Wait until the slot takes jobs."""
        await self.wait(lambda: self.slot.jobs_wanted(monotonic()) > 0, "an executor that is ready")

    async def wait(self, condition: Callable[[], Any], wanted: str = "") -> None:
        async def check() -> Any:
            return condition()

        await until_async(check, wanted=wanted)

    def assign(self, *calls: tuple[Any, ...], **changes: Any) -> list[str]:
        """Assign jobs, each given as (function, *args), in one batch; return their ids."""
        jobs = [self.job(*call, **changes) for call in calls]
        self.slot.assign(jobs, monotonic())
        return [job.id for job in jobs]

    def job(self, function: str, *args: Any, **changes: Any) -> ClaimedJob:
        self._number += 1
        path = function if "." in function else f"{JOBS}.{function}"
        fields: dict[str, Any] = {
            "id": f"job-{self._number}",
            "token": "token",
            "shard_index": 0,
            "queue": "default",
            "data": json.dumps([path, None, args, {}]).encode(),
            "timeout_seconds": None,
            "from_http": True,
            "feed": True,
            "result_ttl_seconds": 60,
            "failure_ttl_seconds": 60,
            "attempt": 1,
        }
        return ClaimedJob(**{**fields, **changes})

    async def outcomes(self, ids: Sequence[str]) -> list[Outcome]:
        """Wait until these jobs have ended; return their outcomes in the same order."""
        await self.wait(lambda: set(ids) <= {outcome.job.id for outcome in self.ended}, f"the end of {ids}")
        found = {outcome.job.id: outcome for outcome in self.ended}
        assert len(found) == len(self.ended), "a job ended twice"
        return [found[job_id] for job_id in ids]

    async def run(self, *call: Any, **changes: Any) -> Outcome:
        """Run one job to its end; return its outcome. It runs elsewhere if its executor is just being replaced."""
        job = self.job(*call, **changes)
        while job not in (outcome.job for outcome in self.ended):
            await self.ready()
            self.slot.assign([job], monotonic())
            await self.wait(lambda: not self.slot.busy, f"the end of {call}")
            if job in self.released:
                self.released.remove(job)
        (outcome,) = await self.outcomes([job.id])
        return outcome

    async def value(self, *call: Any, **changes: Any) -> Any:
        """Run one job that must succeed; return its result."""
        outcome = await self.run(*call, **changes)
        return value_of(outcome)

    async def failure(self, *call: Any, **changes: Any) -> Failed:
        """Run one job that must fail; return its outcome."""
        outcome = await self.run(*call, **changes)
        assert isinstance(outcome, Failed), outcome
        return outcome

    async def close(self) -> None:
        """Stop the slot and its executor."""
        self.slot.stop()
        await asyncio.wait_for(self.running, DEADLINE_SECONDS)

    def _on_printed(self, job: ClaimedJob, lines: Sequence[NewLine]) -> None:
        self.printed.setdefault(job.id, []).extend((stream, text) for _, stream, text in lines)

    def _on_queried(self, reply: Reply, job: ClaimedJob, verb: str, field: str, value: bytes) -> None:
        self.queries.append((job.id, verb, field, value))
        reply(True, self.answers.get(field or verb))


MakeHarness = Callable[..., SlotHarness]
