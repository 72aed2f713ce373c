"""A worker's metrics over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from jobqueue.servers.round_trips import RoundTrips
from jobqueue.workers.registry import WorkerHeartbeat
from worker_node.metrics import MetricsServer, WorkerMetrics

STATE = WorkerHeartbeat("busy", running=2, finished=7, failed=1, working_seconds=12.5)


@pytest.fixture
async def port(caplog: pytest.LogCaptureFixture) -> AsyncIterator[int]:
    caplog.set_level("INFO")
    server = MetricsServer(WorkerMetrics(4, lambda: STATE, RoundTrips(3, 0.25, 1)))
    await server.start("127.0.0.1", 0)
    assert "event=worker_metrics_listening host=127.0.0.1 port=" in caplog.text
    yield int(caplog.text.rpartition("port=")[2].split()[0])
    await server.stop()


async def get(port: int, path: str = "/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers=headers)


async def test_the_worker_tells_what_it_does(port: int) -> None:
    answer = await get(port)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        "workmanager_worker_slots 4.0",
        "workmanager_worker_running_jobs 2.0",
        "workmanager_worker_draining 0.0",
        'workmanager_worker_jobs_total{outcome="finished"} 7.0',
        'workmanager_worker_jobs_total{outcome="failed"} 1.0',
        "workmanager_worker_working_seconds_total 12.5",
        "workmanager_redis_round_trips_total 3.0",
        "workmanager_redis_round_trip_seconds_total 0.25",
        "workmanager_redis_round_trips_failed_total 1.0",
    ):
        assert line in lines
    open_metrics = await get(port, accept="application/openmetrics-text;version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")


async def test_it_answers_nothing_else_and_survives_what_is_no_request(port: int) -> None:
    assert (await get(port, "/")).status_code == 404
    for garbage in (b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 20_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await get(port)).status_code == 200


async def test_a_port_that_is_in_use_is_an_error_in_the_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    second = MetricsServer(WorkerMetrics(1, lambda: STATE, RoundTrips()))
    await second.start("127.0.0.1", port)
    assert "event=worker_metrics_not_served" in caplog.text
    await second.stop()
