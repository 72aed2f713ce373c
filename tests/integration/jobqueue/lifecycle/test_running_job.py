"""What a running job reads and writes in its own record."""

from jobqueue.lifecycle.running_job import read_job_record, save_meta
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    enqueue_jobs,
    job_fields,
)


async def test_only_the_lease_holder_may_save_meta(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await save_meta(shard, job, b'{"progress": 1}')
    assert (await read_job_record(shard, "a"))[b"meta"] == b'{"progress": 1}'
    stale = job._replace(token="stale")
    await save_meta(shard, stale, b'{"progress": 2}')
    assert (await job_fields(shard, "a"))["meta"] == '{"progress": 1}'
    await shard.execute(("DEL", f"{shard.prefix}:job:a"))
    await save_meta(shard, job, b"{}")
    assert await read_job_record(shard, "a") == {}
