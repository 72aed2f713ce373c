"""Groups of plain RQ clients (`Group.enqueue_many`)."""

from redis import Redis
from rq import Queue
from rq.group import Group
from rq.job import JobStatus

from jobqueue.lifecycle.control import delete
from jobqueue.maintenance.sweep import sweep
from jobqueue.sharding.shards import Shards
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until


def test_jobs_of_a_group_run_and_stay_in_it_as_long_as_their_results(
    queue: Queue, connection: Redis, our_worker: StartProcess
) -> None:
    calls = [Queue.prepare_data(job_functions.add, (number, 1)) for number in range(3)]
    forgotten = Queue.prepare_data(job_functions.add, (9, 1), result_ttl=0)
    group = Group.create(connection=connection)
    *kept, gone = group.enqueue_many(queue, [*calls, forgotten])
    our_worker()
    until(lambda: all(job.get_status() == JobStatus.FINISHED for job in kept) and not connection.exists(gone.key))
    assert sorted(job.return_value() for job in kept) == [1, 2, 3]
    assert {member.decode() for member in connection.smembers(group.key)} == {job.id for job in kept}


async def test_a_job_that_is_deleted_over_http_leaves_its_group(
    queue: Queue, connection: Redis, shards: Shards
) -> None:
    group = Group.create(connection=connection)
    first, second = group.enqueue_many(queue, [Queue.prepare_data(job_functions.add, (n, 1)) for n in range(2)])
    await delete(shards.all[0], [first.id])
    assert connection.smembers(group.key) == {second.id.encode()}


async def test_jobs_that_have_expired_leave_their_group_and_an_empty_group_goes(
    queue: Queue, connection: Redis, shards: Shards
) -> None:
    group = Group.create(connection=connection)
    first, second = group.enqueue_many(queue, [Queue.prepare_data(job_functions.add, (n, 1)) for n in range(2)])
    connection.delete(first.key)
    await sweep(shards.all[0], "default", part=0)
    assert connection.smembers(group.key) == {second.id.encode()}
    connection.delete(second.key)
    await sweep(shards.all[0], "default", part=0)
    assert not connection.exists("rq:groups")
