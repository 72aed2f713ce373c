"""Which queues a worker serves: by default every one, otherwise those that it names."""

from datetime import datetime

from redis import Redis
from rq import Queue

from jobqueue import keys
from jobqueue.job_view import JobView
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.waiting import until


async def test_a_worker_without_queues_runs_jobs_of_every_queue(client: Client, start_worker: MakeWorker) -> None:
    await client.enqueue("noop", queue="before")
    start_worker(client.url).wait_until_started()
    for queue in ("reports", "default", "a,b", "with space", "größe"):
        job_id = await client.enqueue("noop", queue=queue)
        assert (await client.wait_until_ended(job_id)).status == "finished"


async def test_a_worker_runs_only_jobs_of_the_queues_that_it_names(client: Client, start_worker: MakeWorker) -> None:
    other = await client.enqueue("noop", queue="other")
    for name, options in (("high", {"QUEUES": "high"}), ("low", {})):
        worker = start_worker(client.url, *([] if options else ["--queues", "low"]), **options)
        job_id = await client.enqueue("noop", queue=name)
        assert (await client.wait_until_ended(job_id)).status == "finished"
        worker.terminate()
    assert (await client.view(other)).status == "queued"


async def test_a_job_in_a_new_queue_begins_within_a_second_beside_100000_jobs(
    client: Client, start_worker: MakeWorker
) -> None:
    shard = client.shards.all[0]
    await client.enqueue_many([("sleep", 0.01)] * 100_000, queue="full")
    start_worker(client.url).wait_until_started()
    await client.enqueue("noop", queue="full")
    for queue in ("new", "newer", "new"):
        job = await client.wait_until_ended(await client.enqueue("noop", queue=queue))
        assert job.status == "finished"
        assert _waited_seconds(job) < 1.0
    (left,) = await shard.execute(("LLEN", keys.queue(shard.prefix, "full")))
    assert left > 50_000


def _waited_seconds(job: JobView) -> float:
    assert job.started_at
    assert job.enqueued_at
    return (datetime.fromisoformat(job.started_at) - datetime.fromisoformat(job.enqueued_at)).total_seconds()


async def test_a_burst_ends_when_every_queue_is_empty(client: Client, start_worker: MakeWorker) -> None:
    ids = [await client.enqueue("noop", queue=f"queue-{number}") for number in range(40)]
    assert start_worker(client.url, "--burst").wait() == 0
    assert [(await client.view(job_id)).status for job_id in ids] == ["finished"] * 40


async def test_an_rq_job_in_a_new_queue_runs_without_any_setting(client: Client, start_worker: MakeWorker) -> None:
    start_worker(client.url).wait_until_started()
    job = Queue("größe, neu", connection=Redis.from_url(client.url), serializer="json").enqueue(
        "worker_node.functions.noop"
    )
    until(lambda: job.get_status() == "finished", wanted="the job's end")
