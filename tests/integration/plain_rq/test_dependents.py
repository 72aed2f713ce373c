"""`depends_on` of plain RQ clients: our scripts queue a dependent exactly when RQ's own code would."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Dependency, Job, JobStatus
from rq.rate_limit import RateLimit

from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import failed_outcome, stopped_outcome, success_outcome
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until

OUTCOMES: dict[str, Any] = {"finished": success_outcome, "failed": failed_outcome, "stopped": stopped_outcome}
OTHERS = (None, "finished", "failed", "stopped", "canceled", "queued", "scheduled", "gone")


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


async def end_next(shard: Shard, outcome: str) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1)
    await finish(shard, "w1", [OUTCOMES[outcome](job)])


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_dependent_is_queued_exactly_if_rqs_own_code_would_queue_it(
    shard: Shard, queue: Queue, connection: Redis, outcome: str
) -> None:
    parent = queue.enqueue(job_functions.add, 1, 1, job_id="parent")
    children = []
    waiting = Queue("waiting", connection=connection, serializer="json")
    for other_status, lenient, canceled in itertools.product(OTHERS, (False, True), (False, True)):
        other = waiting.enqueue(job_functions.add, 1, 1)
        parents = [parent] if other_status is None else [parent, other]
        dependency = Dependency(parents, allow_failure=lenient)
        children.append(waiting.enqueue(job_functions.add, 2, 2, depends_on=dependency))
        if other_status == "gone":
            connection.delete(other.key)
        elif other_status is not None:
            connection.hset(other.key, "status", other_status)
        if canceled:
            children[-1].cancel()
    await end_next(shard, outcome)
    parent.refresh()
    expected = [
        child.get_status() == JobStatus.DEFERRED and child.dependencies_are_met(parent_job=parent) for child in children
    ]
    await enqueue_dependents(shard)
    assert [child.get_status() == JobStatus.QUEUED for child in children] == expected
    assert any(expected) == (outcome != "stopped")
    queued = {child.id for child, is_queued in zip(children, expected, strict=True) if is_queued}
    assert queued <= set(waiting.job_ids)
    assert not queued & set(parent.dependent_ids)


@pytest.mark.parametrize("serializer", ["json", "pickle"])
async def test_a_released_dependent_is_unchanged(shard: Shard, connection: Redis, serializer: str) -> None:
    queue = Queue("default", connection=connection, serializer=serializer)
    parent = queue.enqueue("math.floor", 1.5, job_id="parent", meta={"a": 1})
    queue.enqueue("math.floor", 2.5, job_id="child", depends_on=parent, meta={"b": [2]})
    await end_next(shard, "finished")
    assert await enqueue_dependents(shard) == 1
    assert queue.job_ids == ["child"]
    child = Job.fetch("child", connection=connection, serializer=serializer)
    assert (child.meta, list(child.args), child.func_name) == ({"b": [2]}, [2.5], "math.floor")


class CreatesFileWhenUnpickled:
    """An object that creates a file when it is unpickled."""

    def __init__(self, created: Path) -> None:
        self._created = created

    def __reduce__(self) -> Any:
        return Path.touch, (self._created,)


async def test_no_pickled_data_is_loaded(shard: Shard, connection: Redis, tmp_path: Path) -> None:
    created = tmp_path / "created"
    queue = Queue("default", connection=connection)
    parent = queue.enqueue("math.floor", 1.5, job_id="parent")
    queue.enqueue("math.floor", 2.5, job_id="child", depends_on=parent)
    for job_id in ("parent", "child"):
        connection.hset(f"rq:job:{job_id}", "meta", pickle.dumps(CreatesFileWhenUnpickled(created)))
    await end_next(shard, "finished")
    await enqueue_dependents(shard)
    assert queue.job_ids == ["child"]
    assert not created.exists()


async def test_a_dependent_waits_for_a_place_of_its_rate_limit(shard: Shard, queue: Queue) -> None:
    parent = queue.enqueue(job_functions.add, 1, 1)
    first, second = (
        queue.enqueue(job_functions.add, 1, 1, job_id=f"c{n}", depends_on=parent, rate_limit=RateLimit("key", 1))
        for n in range(2)
    )
    await end_next(shard, "finished")
    await enqueue_dependents(shard)
    assert sorted(job.get_status().value for job in (first, second)) == ["queued", "rate_limited"]
    await end_next(shard, "finished")
    assert sorted(job.get_status().value for job in (first, second)) == ["finished", "queued"]


@pytest.mark.usefixtures("maintenance")
def test_a_chain_alternates_between_our_worker_and_rqs(
    queue: Queue, connection: Redis, our_worker: StartProcess, rq_worker: StartProcess, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    theirs = Queue("theirs", connection=connection, serializer="json")
    job = None
    for number in range(4):
        job = (theirs if number % 2 else queue).enqueue(job_functions.note, str(notes), str(number), depends_on=job)
    fails = queue.enqueue(job_functions.fail, "as it should", depends_on=job)
    last = theirs.enqueue(job_functions.note, str(notes), "last", depends_on=Dependency([fails], allow_failure=True))
    our_worker("--queues", "default")
    rq_worker("theirs")
    until(lambda: last.get_status() == JobStatus.FINISHED)
    assert notes.read_text().split() == [*map(str, range(4)), "last"]
    assert fails.get_status() == JobStatus.FAILED


@pytest.mark.usefixtures("maintenance")
def test_a_job_whose_parent_has_finished_already_is_queued_at_once(queue: Queue, our_worker: StartProcess) -> None:
    our_worker()
    parent = queue.enqueue(job_functions.add, 1, 1)
    until(lambda: parent.get_status() == JobStatus.FINISHED)
    child = queue.enqueue(job_functions.add, 2, 2, depends_on=parent)
    until(lambda: child.get_status() == JobStatus.FINISHED)
    assert child.return_value() == 4
    assert child.dependency == parent
