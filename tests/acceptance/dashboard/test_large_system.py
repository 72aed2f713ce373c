"""Pages of a large system show what was read a moment ago for all of them: reading it takes tens of milliseconds."""

import asyncio
import time

import httpx

from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from manager.dashboard.sampler import MANY
from scaler.fleets.instances import Instance
from scaler.state.leader_election import LeaderElector
from scaler.state.store import ScalerStore, StateUpdate
from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.http.conftest import Start
from workmanager.local.valkey import ValkeyServer

OPENINGS = 10


def test_a_job_and_the_scaler_are_shown_without_reading_all_workers_again(
    api: httpx.Client, start: Start, server: ValkeyServer
) -> None:
    asyncio.run(_launch(server.url))
    submit(api, id="waits")
    # A manager of its own, because its samples are shown for a while.
    with start(PRICE_PER_HOUR="0.36").client() as client:
        visitor = Visitor(client)
        assert f"Workers {MANY}" in visitor.open("/").text
        before = _records_read(server)
        for _ in range(OPENINGS):
            job, scaler = visitor.open("/dashboard/jobs/waits"), visitor.open("/dashboard/scaler")
    # Samples are taken meanwhile, at most one a second.
    assert _records_read(server) - before < OPENINGS * MANY
    assert f"all {MANY} slots of {MANY} workers are busy" in job.text
    assert f"100 of {MANY + 1} : first those that boot" in scaler.text
    heading = next(row for row in scaler.rows if row[0] == "Instance")
    booting, busy, *_ = [row for row in scaler.rows if row[0].startswith("i-")]
    assert booting[:2] == [f"i-{MANY}", "booting"]
    assert busy[heading.index("Cost so far")] == "0.06"  # after ten minutes
    assert busy[heading.index("Jobs")] == "job-0 and 6 more"


def test_a_page_that_says_what_was_done_shows_it_though_another_manager_has_done_it(
    api: httpx.Client, start: Start, server: ValkeyServer
) -> None:
    asyncio.run(_launch(server.url))
    submit(api, queue="a")
    with start().client() as client:
        visitor = Visitor(client)
        assert f"Workers {MANY}" in visitor.open("/").text
        api.post("/queues/a/pause").raise_for_status()
        assert visitor.open("/dashboard/queues?done=paused").row("a")[1].startswith("paused")
        api.post("/scaler/pause").raise_for_status()
        assert "State paused" in visitor.open("/dashboard/scaler?done=scaler-paused").text


def _records_read(server: ValkeyServer) -> int:
    return int(server.command("INFO", "commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"])


async def _launch(url: str) -> None:
    shards = await Shards.connect(url)
    (shard,) = shards
    for number in range(MANY):
        name = f"i-{number}"
        await register(shard, WorkerRecord(name, "host", 1, ALL_QUEUES, 1, "ec2:jobs", name))
        await send_worker_heartbeat(shard, name, WorkerHeartbeat("busy", 7, 0, 0, 0.0, jobs=[f"job-{number}"]))
    elector = LeaderElector(shard, "10.0.0.1:5000")
    leadership = await elector.acquire()
    now = time.time()
    # The last one boots.
    instances = [Instance(f"i-{number}", now - 600, arrived_at=now - 500) for number in range(MANY)]
    await ScalerStore(shard, elector).save(leadership.epoch, StateUpdate([*instances, Instance(f"i-{MANY}", now)]))
    await shards.close()
