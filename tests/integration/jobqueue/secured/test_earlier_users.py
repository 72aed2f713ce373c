"""During an upgrade, new programs meet servers whose Redis users are those of the version before."""

import redis

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs, success_outcome
from workmanager.local.valkey import ValkeyServer

JOBS = ("a", "b", "c")


async def test_alike_jobs_run_where_the_users_may_not_copy_yet(
    private_server: ValkeyServer, functions: FunctionRegistry
) -> None:
    with redis.Redis.from_url(private_server.url) as operator:
        operator.execute_command("ACL", "SETUSER", "earlier", "on", "nopass", "~*", "&*", "+@all", "-copy", "-xlen")
    earlier = await Shards.connect(private_server.url.replace("://", "://earlier:any@"))
    shard = earlier.all[0]
    assert await enqueue_jobs(shard, *JOBS) == [EnqueueOutcome.WRITTEN] * len(JOBS)
    jobs = await claim_jobs(shard, len(JOBS))
    assert [job.id for job in jobs] == list(JOBS)
    report = await finish(shard, "w1", [success_outcome(job, "alike") for job in jobs], now=NOW)
    assert not report.lost
    views = await view_jobs(shard, JOBS, functions)
    assert [view.result for view in views if view is not None] == [b'"alike"'] * len(JOBS)
    await earlier.close()
