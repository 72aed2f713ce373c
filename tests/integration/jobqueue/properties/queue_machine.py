"""The real queue and the model side by side: each rule asks both, and after each the books must agree."""

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Outcome, Retried, Stopped, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.maintenance.periodic import enqueue_due, expire_results, prune
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.properties.queue_model import LEASE_SECONDS, QUEUES, REQUEUABLE, ModelJob, QueueModel
from tests.integration.jobqueue.properties.shard_snapshot import ShardSnapshot, read_snapshot
from tests.integration.jobqueue.queue_helpers import NOW, failed_outcome, new_job, success_outcome

IDS = st.sampled_from([f"j{number}" for number in range(8)])
LEASES = st.tuples(st.sampled_from([True, True, False]), st.integers(0, 7))
WORKERS = st.sampled_from(["w1", "w2", "w3"])


class QueueMachine(RuleBasedStateMachine):
    """Interleaves what clients, workers, managers and consumers do, in any order and with repeats."""

    def __init__(self, runner: asyncio.Runner, shard: Shard) -> None:
        super().__init__()
        self._runner = runner
        self._shard = shard
        self._model = QueueModel()
        self._now = int(NOW)
        self._tokens = 0
        self._claims: list[ClaimedJob] = []
        self._last_claim: dict[str, tuple[str, int, list[ClaimedJob]]] = {}
        self._last_pull: dict[str, Any] = {}

    @initialize(retries=st.sampled_from([None, 0, 5]))
    def begins_with_work(self, retries: int | None) -> None:
        self._run(self._shard.execute(("FLUSHALL",)))
        self._run(reap(self._shard, now=self._now))
        self.enqueues(["j6", "j7"], "high", False, None)
        self.claims("w1", 2)
        for _ in range(2):
            self.a_worker_finishes((True, 0))
        self.enqueues([f"j{number}" for number in range(6)], "default", False, retries)

    @rule(
        ids=st.lists(IDS, min_size=1, max_size=4, unique=True),
        queue=st.sampled_from(QUEUES),
        front=st.booleans(),
        interval=st.sampled_from([None, 0, 5]),
    )
    def enqueues(self, ids: list[str], queue: str, front: bool, interval: int | None) -> None:
        retries, intervals = (0, ()) if interval is None else (2, (interval,))
        expected = [self._model.enqueue(id_, ModelJob(queue, retries, interval), at_front=front) for id_ in ids]
        jobs = [new_job(id_, queue=queue, at_front=front, retries=retries, retry_intervals=intervals) for id_ in ids]
        answers = self._run(enqueue(self._shard, jobs, now=self._now))
        assert [getattr(answer, "name", "").lower() for answer in answers] == expected

    @rule(job_id=IDS, queue=st.sampled_from(QUEUES), delay=st.integers(1, 30))
    def enqueues_for_later(self, job_id: str, queue: str, delay: int) -> None:
        job = new_job(job_id, queue=queue, due_at=self._now + delay)
        expected = self._model.enqueue(job_id, ModelJob(queue, 0, None, due=self._now + delay), at_front=False)
        (answer,) = self._run(enqueue(self._shard, [job], now=self._now))
        assert getattr(answer, "name", "").lower() == expected

    @rule(worker=WORKERS, count=st.integers(1, 4))
    def claims(self, worker: str, count: int) -> None:
        self._tokens += 1
        token = f"t{self._tokens}"
        expected = self._model.claim(count, token, self._now)
        jobs = self._run(claim(self._shard, worker, QUEUES, count, token=token, now=self._now))
        assert [job.id for job in jobs] == expected
        assert [job.attempt for job in jobs] == [self._model.jobs[job.id].attempts for job in jobs]
        self._claims += jobs
        if jobs:
            self._last_claim[worker] = token, count, jobs

    @rule(worker=WORKERS)
    def repeats_its_last_claim(self, worker: str) -> None:
        if worker in self._last_claim:
            token, count, jobs = self._last_claim[worker]
            again = self._run(claim(self._shard, worker, QUEUES, count, token=token, now=self._now))
            assert again == [job for job in jobs if self._model.holds(job.id, token)]

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_worker_finishes(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        if held:
            self._model.finish(job.id, self._now)
        self._ends(success_outcome(job, job.id), held, again=False)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_worker_fails(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        self._ends(failed_outcome(job), held, again=held and self._model.fail(job.id, self._now))

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_worker_is_asked_to_try_again(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        outcome = Retried(job, "noop", 0.1, 2, (), False, b"bnVsbA==")
        self._ends(outcome, held, again=held and self._model.return_retry(job.id, 2, self._now))

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_worker_stops_a_job(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        if held:
            self._model.stop(job.id)
        self._ends(Stopped(job, "noop", 0.1), held, again=False)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_worker_gives_back(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        if held:
            self._model.release(job.id)
        assert self._run(release(self._shard, [job], now=self._now)) == int(held)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_worker_renews(self, lease: tuple[bool, int]) -> None:
        job, held = self._choose(lease)
        extension = self._run(extend(self._shard, "w1", [LeaseUpdate(job)], now=self._now))
        assert extension.lost == (frozenset() if held else {job.id})
        if held:
            self._model.jobs[job.id].lease_until = self._now + LEASE_SECONDS
            assert (job.id in extension.cancelled) == self._model.jobs[job.id].cancel_asked

    @rule(seconds=st.sampled_from([0, 5, 19, 20, 40, 1800, 200_000]), tends=st.booleans())
    def time_passes_and_a_manager_reaps(self, seconds: int, tends: bool) -> None:
        self._now += seconds
        if tends:
            self.a_manager_tends_the_feed()
        expected = self._model.reap(self._now)
        reaped = self._run(reap(self._shard, now=self._now))
        assert [(job.job_id, job.outcome) for job in reaped] == expected

    @rule(queue=st.sampled_from(QUEUES))
    def a_manager_moves_due_jobs(self, queue: str) -> None:
        expected = self._model.move_due(queue, self._now)
        assert self._run(enqueue_due(self._shard, queue, "me", now=self._now)) == expected

    @rule()
    def a_manager_tends_the_feed(self) -> None:
        expected = self._model.prune(self._now)
        assert self._run(prune(self._shard, now=self._now)) == (expected, 0)

    @rule()
    def a_manager_ends_what_is_over(self) -> None:
        expected = self._model.expire(self._now)
        assert self._run(expire_results(self._shard, now=self._now)) == expected

    @rule(job_id=IDS)
    def a_user_cancels(self, job_id: str) -> None:
        self._cancels(job_id)

    @precondition(lambda self: self._claims)
    @rule(lease=LEASES)
    def a_user_cancels_what_runs(self, lease: tuple[bool, int]) -> None:
        self._cancels(self._choose(lease)[0].id)

    @rule(number=st.integers(0, 7))
    def a_user_requeues(self, number: int) -> None:
        ended = [job_id for job_id, job in self._model.jobs.items() if job.status in REQUEUABLE]
        job_id = ended[number % len(ended)] if ended else f"j{number}"
        expected = self._model.requeue(job_id)
        assert self._run(requeue(self._shard, [job_id], now=self._now)) == [expected]

    @rule(job_id=IDS)
    def a_user_deletes(self, job_id: str) -> None:
        expected = self._model.delete(job_id)
        assert self._run(delete(self._shard, [job_id])) == [expected]

    @rule(most=st.integers(1, 3), latest=st.booleans(), lease=st.sampled_from([0, 15, 15]))
    def a_consumer_pulls(self, most: int, latest: bool, lease: int) -> None:
        self._tokens += 1
        asked: dict[str, Any] = {"order": "latest" if latest else "oldest", "lease_seconds": lease}
        asked["token"] = f"t{self._tokens}"
        expected = self._model.pull(most, latest=latest, lease_seconds=lease, now=self._now)
        results = self._run(pull(self._shard, most, now=self._now, **asked))
        assert [result.job_id for result in results] == expected
        if results:
            self._last_pull = {"most": most, "asked": asked, "results": results}

    @precondition(lambda self: self._last_pull)
    @rule()
    def a_consumer_repeats_its_last_pull(self) -> None:
        last = self._last_pull
        again = self._run(pull(self._shard, last["most"], now=self._now, **last["asked"]))
        still = [result for result in last["results"] if self._model.was_finished(result.job_id)]
        # Where all of it has been deleted meanwhile there is nothing to repeat; what came then is in the model.
        assert again == still

    @rule(job_id=IDS)
    def a_consumer_acknowledges(self, job_id: str) -> None:
        expected = self._model.acknowledge(job_id, self._now)
        assert self._run(acknowledge(self._shard, [job_id], now=self._now)) == int(expected)

    @invariant()
    def the_books_agree(self) -> None:
        if self._model.jobs or self._tokens:
            assert self._run(read_snapshot(self._shard)) == ShardSnapshot.of_model(self._model)

    def _choose(self, lease: tuple[bool, int]) -> tuple[ClaimedJob, bool]:
        """A lease, and whether it is held: a living one where one is wanted and there is one, else any there was."""
        living, number = lease
        held = [job for job in self._claims if self._model.holds(job.id, job.token)]
        choice = held if living and held else self._claims
        chosen = choice[-1 - number % len(choice)]
        return chosen, chosen in held

    def _cancels(self, job_id: str) -> None:
        expected = self._model.cancel(job_id)
        (answer,) = self._run(cancel(self._shard, [job_id], now=self._now))
        assert answer.outcome == expected

    def _ends(self, outcome: Outcome, held: bool, *, again: bool) -> None:
        job_id = outcome.job.id
        report = self._run(finish(self._shard, "w1", [outcome], now=self._now))
        assert (report.lost, report.retried) == (() if held else (job_id,), (job_id,) if again else ())

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)
