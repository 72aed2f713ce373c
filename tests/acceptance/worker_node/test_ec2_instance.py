"""A worker on an EC2 instance: interruption notices, and the dead-man switch when its managers are gone."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue.workers.manager_heartbeat import send_manager_heartbeat
from jobqueue.workers.registry import WorkerView, list_workers
from tests.acceptance.worker_node.conftest import Client, MakeWorker, wait_for_file
from tests.ec2.metadata_service import MetadataService
from tests.waiting import until, until_async
from worker_node.shutdown.drain import SPOT_MARGIN_SECONDS
from workmanager.local.valkey import ValkeyServer

ON_INSTANCE = ("--fleet", "ec2:tests", "--instance-id", "i-0")


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataService]:
    service = MetadataService({"meta-data/instance-id": "i-0"}, "127.0.0.1", 0)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{service.port}")
    yield service
    service.close()


async def _the_worker(client: Client) -> WorkerView | None:
    return next(iter(await list_workers(client.shards.all[0])), None)


async def test_a_spot_notice_lets_jobs_finish_and_releases_the_others_in_time(
    client: Client, start_worker: MakeWorker, metadata: MetadataService, tmp_path: Path
) -> None:
    worker = start_worker(client.url, *ON_INSTANCE, "--slots", "2")
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    ends = await client.enqueue("note_then_wait", str(notes), "x", str(gate))
    await wait_for_file(notes)
    outlives = await client.enqueue("note_then_wait", str(tmp_path / "more"), "x", str(tmp_path / "never"))
    await wait_for_file(tmp_path / "more")
    seconds = SPOT_MARGIN_SECONDS + 15
    end = time.monotonic() + seconds
    metadata.announce_interruption(seconds)
    until(lambda: "event=worker_draining" in worker.log_text)
    waiting = await client.enqueue("pid")

    async def shows_spot() -> bool:
        seen = await _the_worker(client)
        return seen is not None and (seen.state, seen.interruption) == ("draining", "spot")

    await until_async(shows_spot, wanted="the reason in the worker's record")
    gate.touch()
    assert (await client.wait_until_ended(ends)).status == "finished"
    assert worker.wait() == 0
    assert time.monotonic() < end - SPOT_MARGIN_SECONDS / 2
    assert {(await client.view(job_id)).status for job_id in (outlives, waiting)} == {"queued"}
    start_worker(client.url, "--slots", "2")
    assert (await client.wait_until_ended(waiting)).attempts == 1
    assert (await client.wait_for_status(outlives, "started")).attempts == 1


async def test_a_rebalance_recommendation_is_reported_and_work_continues(
    client: Client, start_worker: MakeWorker, metadata: MetadataService
) -> None:
    worker = start_worker(client.url, *ON_INSTANCE)
    await client.value(await client.enqueue("pid"))
    metadata.revoke_tokens()
    metadata.recommend_rebalance()

    async def shows_rebalance() -> bool:
        seen = await _the_worker(client)
        return seen is not None and (seen.state, seen.interruption) == ("idle", "rebalance")

    await until_async(shows_rebalance, wanted="the recommendation in the worker's record")
    await client.value(await client.enqueue("pid"))
    assert worker.process.poll() is None
    assert worker.log_text.count("event=rebalance_recommended") == 1
    assert "metadata_unavailable" not in worker.log_text


async def test_a_worker_without_manager_heartbeats_drains_and_stops(
    client: Client, start_worker: MakeWorker, metadata: MetadataService
) -> None:
    """Heartbeats of a manager keep it running; without one, it releases its job after the timeout."""
    timeout_seconds = 6
    worker = start_worker(
        client.url, *ON_INSTANCE, MANAGER_TIMEOUT_SECONDS=str(timeout_seconds), DRAIN_GRACE_SECONDS="0"
    )
    running = await client.enqueue("wait", 600)
    worker.wait_until_started()
    started = time.monotonic()
    while time.monotonic() < started + timeout_seconds + 1 or (await client.view(running)).status != "started":
        await send_manager_heartbeat(client.shards.all[0])
        assert worker.process.poll() is None
    assert worker.wait() == 0
    assert "reason=manager_timeout" in worker.log_text
    assert (await client.view(running)).status == "queued"


async def test_a_worker_that_never_reaches_redis_stops(start_worker: MakeWorker) -> None:
    worker = start_worker("redis://127.0.0.1:1/0", *ON_INSTANCE, MANAGER_TIMEOUT_SECONDS="1")
    assert worker.wait() == 0
    assert "event=worker_stopped reason=redis_never_reached" in worker.log_text


async def test_a_worker_whose_redis_is_gone_stops(
    private_server: ValkeyServer, start_worker: MakeWorker, metadata: MetadataService
) -> None:
    worker = start_worker(private_server.url, *ON_INSTANCE, MANAGER_TIMEOUT_SECONDS="2")
    worker.wait_until_started()
    private_server.kill()
    assert worker.wait() == 0
    assert "reason=manager_timeout" in worker.log_text


async def test_a_worker_started_by_a_person_needs_no_manager(client: Client, start_worker: MakeWorker) -> None:
    worker = start_worker(client.url, MANAGER_TIMEOUT_SECONDS="0.5")
    worker.wait_until_started()
    await asyncio.sleep(3)  # Longer than the timeout, which applies only to workers on instances.
    assert worker.process.poll() is None
