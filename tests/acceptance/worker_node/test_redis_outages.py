"""Workers survive a Redis that is down, does not answer, or fails over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jobqueue.errors import ShardUnavailable
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.sharding.shards import Shards
from tests.acceptance.worker_node.conftest import Client, MakeWorker, wait_for_file
from tests.durability import until_aof_written
from tests.waiting import until, until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Client]:
    shards = await Shards.connect(url)
    try:
        yield Client(shards, url)
    finally:
        await shards.close()


async def test_a_worker_waits_for_redis_at_its_start(private_server: ValkeyServer, start_worker: MakeWorker) -> None:
    private_server.stop()
    worker = start_worker(private_server.url)
    until(lambda: "event=redis_unavailable" in worker.log_text)
    private_server.start()
    async with _client(private_server.url) as client:
        assert (await client.wait_until_ended(await client.enqueue("pid"))).status == "finished"
    assert worker.log_text.count("event=redis_") == 2, "one line for each change"


async def test_jobs_that_end_while_redis_is_unavailable_are_recorded_afterwards(
    private_server: ValkeyServer, start_worker: MakeWorker, tmp_path: Path
) -> None:
    worker = start_worker(private_server.url)
    gate, notes = tmp_path / "gate", tmp_path / "notes"
    async with _client(private_server.url) as client:
        job_id = await client.enqueue("note_then_wait", str(notes), "once", str(gate))
        await wait_for_file(notes)
        await asyncio.to_thread(until_aof_written, private_server)
        private_server.kill()
        gate.touch()
        until(lambda: "event=finish_unavailable" in worker.log_text)
        private_server.start()
        ended = await client.wait_until_ended(job_id)
        assert (ended.status, ended.attempts) == ("finished", 1)
        assert (await client.wait_until_ended(await client.enqueue("pid"))).status == "finished"
    assert notes.read_text().split() == ["once"]
    assert worker.log_text.count("event=finish_unavailable") == 1


async def test_a_worker_survives_a_redis_that_does_not_answer(
    private_server: ValkeyServer, start_worker: MakeWorker
) -> None:
    worker = start_worker(private_server.url, "--slots", "2")
    async with _client(private_server.url) as client:
        ids = await client.enqueue_many([("wait", 0.02)] * 200)
        await client.wait_until_ended(ids[0])
        private_server.pause()
        await asyncio.sleep(3)
        private_server.resume()
        for job_id in ids:
            assert (await client.wait_until_ended(job_id)).status == "finished"
    assert worker.process.poll() is None


async def test_the_death_of_a_master_loses_no_job_and_stops_no_worker(
    cluster: ValkeyCluster, start_worker: MakeWorker
) -> None:
    async with _client(cluster.url) as client:
        maintenance = asyncio.create_task(Maintenance(client.shards, lease_seconds=5).run())
        workers = [start_worker(cluster.url, "--slots", "1", LEASE_SECONDS="5") for _ in range(2)]
        ids = await client.enqueue_many([("wait", 0.002)] * 3000)
        await client.wait_until_ended(ids[0])
        cluster.masters()[0].kill()
        ids += await client.enqueue_many([("wait", 0.002)] * 500)

        async def all_finished() -> bool:
            counts = []
            for shard in client.shards:
                try:
                    counts += await shard.execute(("ZCARD", f"{shard.prefix}:finished:default"))
                except ShardUnavailable:
                    return False
            return bool(sum(counts) == len(ids))

        await until_async(all_finished, 120, wanted="every job's end")
        for worker in workers:
            assert worker.process.poll() is None
            assert worker.terminate() == 0
        maintenance.cancel()
        await asyncio.gather(maintenance, return_exceptions=True)
