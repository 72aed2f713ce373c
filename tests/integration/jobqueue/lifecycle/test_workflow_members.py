"""What is done with a workflow is done with its own jobs alone, whoever has taken the id of one that was deleted."""

from jobqueue.lifecycle.control import cancel, delete
from jobqueue.lifecycle.workflows import Member, cancel_workflow, new_workflow, retry_workflow, submit_workflow
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import enqueue_jobs, job_status, new_job


async def test_cancel_and_retry_leave_a_job_of_another_queue_alone(any_shards: Shards) -> None:
    shard = any_shards.of("w")
    ids = [any_shards.derived_id(f"w:{name}", shard) for name in ("own", "gone")]
    gone = ids[1]
    workflow = new_workflow("w", {job_id: Member(job_id, "noop", "default", ()) for job_id in ids})
    jobs = [new_job(job_id, depends_on=(), workflow_id="w") for job_id in ids]
    await submit_workflow(any_shards, workflow, jobs)
    await delete(shard, [gone])
    await enqueue_jobs(shard, gone, queue="of-somebody-else")

    assert (await cancel_workflow(any_shards, workflow))["canceled"] == 1
    assert await job_status(shard, gone) == "queued"
    await cancel(shard, [gone])
    assert await retry_workflow(any_shards, workflow) == 1
    assert [await job_status(shard, job_id) for job_id in ids] == ["queued", "canceled"]
