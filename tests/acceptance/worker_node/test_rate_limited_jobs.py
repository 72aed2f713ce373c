"""Functions that say for how long no job must begin under a limit."""

from pathlib import Path

import pytest

from jobqueue.lifecycle.limits import read_limit
from jobqueue.maintenance.rq_wakeups import wake_workers
from jobqueue.model import Limit
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.waiting import until_async


@pytest.mark.parametrize("isolation", ["none", "job"])
async def test_a_job_that_is_told_to_wait_runs_again_and_others_wait_with_it(
    client: Client, start_worker: MakeWorker, tmp_path: Path, isolation: str
) -> None:
    note = tmp_path / "note"
    limits = (Limit("api", concurrency=5),)
    job_id = await client.enqueue("be_rate_limited", "api", str(note), limits=limits)
    start_worker(client.url, ISOLATION=isolation)
    shard = client.shards.of(job_id)

    async def has_finished() -> bool:
        await wake_workers(shard, ["default"])  # As managers do, twice a second.
        return (await client.view(job_id)).status == "finished"

    await until_async(has_finished, wanted="the second attempt")
    view = await client.view(job_id)
    assert (view.attempts, view.retries_left) == (2, 0)
    limit = await read_limit(shard, "api")
    assert limit is not None
    assert limit.running == 0


async def test_a_job_without_that_limit_fails_and_says_so(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    job_id = await client.enqueue("be_rate_limited", "api", str(tmp_path / "note"))
    start_worker(client.url)
    failed = await client.wait_until_ended(job_id)
    assert failed.error is not None
    assert "the job has no limit with the key 'api'" in failed.error.traceback
