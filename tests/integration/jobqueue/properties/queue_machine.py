"""The Hypothesis state machine: each rule acts on the queue in Redis and on the model, and both must stay equal."""

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.maintenance.expiry import expire_results, prune
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.properties.queue_model import LEASE_SECONDS, QUEUES, REQUEUABLE, ModelJob, QueueModel
from tests.integration.jobqueue.properties.shard_snapshot import ShardSnapshot, read_snapshot
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    failed_outcome,
    new_job,
    retried_outcome,
    stopped_outcome,
    success_outcome,
)

IDS = st.sampled_from([f"j{number}" for number in range(8)])
# Whether to choose a valid lease, if there is one, and which. See `_choose`.
LEASES = st.tuples(st.sampled_from([True, True, False]), st.integers(0, 7))
WORKERS = st.sampled_from(["w1", "w2", "w3"])
MAX_RETURNED_RETRIES = 2


class QueueMachine(RuleBasedStateMachine):
    """Interleaves calls of clients, workers, managers and consumers, in any order and with repeats."""

    def __init__(self, runner: asyncio.Runner, shard: Shard) -> None:
        super().__init__()
        self._runner = runner
        self._shard = shard
        self._model = QueueModel()
        self._now = int(NOW)
        self._token_count = 0
        self._claims: list[ClaimedJob] = []
        self._last_claim: dict[str, tuple[str, int, list[ClaimedJob]]] = {}
        self._last_pull: dict[str, Any] = {}

    @initialize(retries=st.sampled_from([None, 0, 5]))
    def start_with_jobs(self, retries: int | None) -> None:
        self._run(self._shard.execute(("FLUSHALL",)))
        self._run(reap(self._shard, now=self._now))
        self.client_enqueues(["j6", "j7"], "high", False, None)
        self.worker_claims("w1", 2)
        for _ in range(2):
            self.worker_finishes((True, 0))
        self.client_enqueues([f"j{number}" for number in range(6)], "default", False, retries)

    @rule(
        ids=st.lists(IDS, min_size=1, max_size=4, unique=True),
        queue=st.sampled_from(QUEUES),
        front=st.booleans(),
        interval=st.sampled_from([None, 0, 5]),
    )
    def client_enqueues(self, ids: list[str], queue: str, front: bool, interval: int | None) -> None:
        retries, intervals = (0, ()) if interval is None else (2, (interval,))
        expected = [self._model.enqueue(id_, ModelJob(queue, retries, interval), at_front=front) for id_ in ids]
        jobs = [new_job(id_, queue=queue, at_front=front, retries=retries, retry_intervals=intervals) for id_ in ids]
        outcomes = self._run(enqueue(self._shard, jobs, now=self._now))
        assert [getattr(outcome, "name", "").lower() for outcome in outcomes] == expected

    @rule(job_id=IDS, queue=st.sampled_from(QUEUES), delay=st.integers(1, 30))
    def client_schedules(self, job_id: str, queue: str, delay: int) -> None:
        job = new_job(job_id, queue=queue, due_at=self._now + delay, delay_seconds=float(delay))
        model_job = ModelJob(queue, 0, None, due=self._now + delay, delay=delay)
        expected = self._model.enqueue(job_id, model_job, at_front=False)
        (outcome,) = self._run(enqueue(self._shard, [job], now=self._now))
        assert getattr(outcome, "name", "").lower() == expected

    @rule(worker=WORKERS, count=st.integers(1, 4))
    def worker_claims(self, worker: str, count: int) -> None:
        self._token_count += 1
        token = f"t{self._token_count}"
        expected = self._model.claim(count, token, self._now)
        jobs = self._run(claim(self._shard, worker, QUEUES, count, token=token, now=self._now))
        assert [job.id for job in jobs] == expected
        assert [job.attempt for job in jobs] == [self._model.jobs[job.id].attempts for job in jobs]
        self._claims += jobs
        if jobs:
            self._last_claim[worker] = token, count, jobs

    @rule(worker=WORKERS)
    def worker_repeats_its_last_claim(self, worker: str) -> None:
        if worker in self._last_claim:
            token, count, jobs = self._last_claim[worker]
            repeated = self._run(claim(self._shard, worker, QUEUES, count, token=token, now=self._now))
            assert repeated == [job for job in jobs if self._model.holds(job.id, token)]

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def worker_finishes(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        if held:
            self._model.finish(job.id, self._now)
        self._finish(success_outcome(job, job.id), held, retried=False)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def worker_fails(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        self._finish(failed_outcome(job), held, retried=held and self._model.fail(job.id, self._now))

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def worker_returns_a_retry(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        retried = held and self._model.return_retry(job.id, MAX_RETURNED_RETRIES, self._now)
        self._finish(retried_outcome(job, MAX_RETURNED_RETRIES), held, retried=retried)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def worker_stops(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        if held:
            self._model.stop(job.id)
        self._finish(stopped_outcome(job), held, retried=False)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def worker_releases(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        if held:
            self._model.release(job.id)
        assert self._run(release(self._shard, [job], now=self._now)) == int(held)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def worker_extends(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        extension = self._run(extend(self._shard, "w1", [LeaseUpdate(job)], now=self._now))
        assert extension.lost == (() if held else (job,))
        if held:
            self._model.jobs[job.id].lease_until = self._now + LEASE_SECONDS
            assert (job.id in extension.cancelled) == self._model.jobs[job.id].cancel_asked

    @rule(
        seconds=st.sampled_from([0, 5, LEASE_SECONDS - 1, LEASE_SECONDS, 2 * LEASE_SECONDS, 1800, 200_000]),
        prunes=st.booleans(),
    )
    def manager_reaps_after(self, seconds: int, prunes: bool) -> None:
        self._now += seconds
        if prunes:
            self.manager_prunes()
        expected = self._model.reap(self._now)
        reaped = self._run(reap(self._shard, now=self._now))
        assert [(job.job_id, job.outcome) for job in reaped] == expected

    @rule(queue=st.sampled_from(QUEUES))
    def manager_enqueues_due_jobs(self, queue: str) -> None:
        expected = self._model.enqueue_due(queue, self._now)
        assert self._run(enqueue_due(self._shard, queue, "me", now=self._now)) == expected

    @rule()
    def manager_prunes(self) -> None:
        expected = self._model.prune(self._now)
        assert self._run(prune(self._shard, now=self._now)) == (expected, 0)

    @rule()
    def manager_expires_results(self) -> None:
        expected = self._model.expire_results(self._now)
        assert self._run(expire_results(self._shard, now=self._now)) == expected

    @rule(job_id=IDS)
    def client_cancels(self, job_id: str) -> None:
        self._cancel(job_id)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def client_cancels_a_running_job(self, lease: tuple[bool, int]) -> None:
        self._cancel(self._choose(lease)[0].id)

    @rule(number=st.integers(0, 7))
    def client_requeues(self, number: int) -> None:
        ended = [job_id for job_id, job in self._model.jobs.items() if job.status in REQUEUABLE]
        job_id = ended[number % len(ended)] if ended else f"j{number}"
        expected = self._model.requeue(job_id)
        assert self._run(requeue(self._shard, [job_id], now=self._now)) == [expected]

    @rule(job_id=IDS)
    def client_deletes(self, job_id: str) -> None:
        expected = self._model.delete(job_id)
        assert self._run(delete(self._shard, [job_id])) == [expected]

    @rule(limit=st.integers(1, 3), latest=st.booleans(), lease=st.sampled_from([0, 15, 15]))
    def consumer_pulls(self, limit: int, latest: bool, lease: int) -> None:
        self._token_count += 1
        options: dict[str, Any] = {"order": "latest" if latest else "oldest", "lease_seconds": lease}
        options["token"] = f"t{self._token_count}"
        expected = self._model.pull(limit, latest=latest, lease_seconds=lease, now=self._now)
        results = self._run(pull(self._shard, limit, now=self._now, **options))
        assert [result.job_id for result in results] == expected
        if results:
            self._last_pull = {"limit": limit, "options": options, "results": results}

    @precondition(lambda self: self._last_pull)
    @rule()
    def consumer_repeats_its_last_pull(self) -> None:
        last = self._last_pull
        repeated = self._run(pull(self._shard, last["limit"], now=self._now, **last["options"]))
        remaining = [result for result in last["results"] if self._model.was_finished(result.job_id)]
        # If all of them have been deleted, the repeat returns nothing and takes nothing else.
        assert repeated == remaining

    @rule(job_id=IDS)
    def consumer_acknowledges(self, job_id: str) -> None:
        expected = self._model.acknowledge(job_id, self._now)
        assert self._run(acknowledge(self._shard, [job_id], now=self._now)) == int(expected)

    @invariant()
    def queue_equals_model(self) -> None:
        if self._model.jobs or self._token_count:
            assert self._run(read_snapshot(self._shard)) == ShardSnapshot.of_model(self._model)

    def _choose(self, lease: tuple[bool, int]) -> tuple[ClaimedJob, bool]:
        """Return the job of a lease, and whether the lease is still valid.

        It is one of the valid leases if one is wanted and there is one, otherwise one of all leases so far.
        """
        wants_valid, number = lease
        held = [job for job in self._claims if self._model.holds(job.id, job.token)]
        choice = held if wants_valid and held else self._claims
        chosen = choice[-1 - number % len(choice)]
        return chosen, chosen in held

    def _cancel(self, job_id: str) -> None:
        expected = self._model.cancel(job_id)
        (result,) = self._run(cancel(self._shard, [job_id], now=self._now))
        assert result.outcome == expected

    def _finish(self, outcome: Outcome, held: bool, *, retried: bool) -> None:
        job_id = outcome.job.id
        report = self._run(finish(self._shard, "w1", [outcome], now=self._now))
        assert (report.lost, report.retried) == (() if held else (job_id,), (job_id,) if retried else ())

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)
