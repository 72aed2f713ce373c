"""Many jobs, tenants and keys: what waits costs the others nothing.

`WORKMANAGER_TEST_WAITING_JOBS=1000000` lets so many jobs of one tenant wait, and
`WORKMANAGER_TEST_LIMIT_KEYS=100000` so many limits (minutes).
"""

import os
import re
import time

from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.model import Limit
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import claim_jobs, new_job, success_outcome

JOBS = int(os.environ.get("WORKMANAGER_TEST_WAITING_JOBS", "10000"))
KEYS = int(os.environ.get("WORKMANAGER_TEST_LIMIT_KEYS", "3000"))
PART = 1000


async def commands_of_a_claim(shard: Shard) -> int:
    """Claim and finish some jobs; return how many commands Redis has run for it."""
    await shard.execute(("CONFIG", "RESETSTAT"))
    jobs = await claim_jobs(shard, 50)
    assert len(jobs) == 50
    await finish(shard, "w1", [success_outcome(job) for job in jobs])
    (info,) = await shard.execute(("INFO", "commandstats"))
    return sum(int(number) for number in re.findall(rb"cmdstat_\S+?:calls=(\d+)", info))


async def test_ten_jobs_of_one_tenant_do_not_wait_for_the_many_of_another(shard: Shard) -> None:
    for first in range(0, JOBS, PART):
        await enqueue(shard, [new_job(f"many-{first + n}", fair_key="many") for n in range(PART)])
    few = {f"few-{n}" for n in range(10)}
    await enqueue(shard, [new_job(name, fair_key="few") for name in sorted(few)])
    begun = time.perf_counter()
    jobs = await claim_jobs(shard, 20)
    assert {job.id for job in jobs} >= few
    assert len(jobs) == 20
    assert time.perf_counter() - begun < 1


async def test_a_claim_costs_the_same_however_many_keys_there_are(shard: Shard) -> None:
    costs = []
    for first in range(0, KEYS, PART):
        limits = [(Limit(f"key-{first + n}", concurrency=1, starts=100, seconds=60.0),) for n in range(PART)]
        await enqueue(shard, [new_job(f"job-{first + n}", limits=limit) for n, limit in enumerate(limits)])
        if first in (0, KEYS - PART):
            costs.append(await commands_of_a_claim(shard))
    assert abs(costs[1] - costs[0]) < 30, costs
