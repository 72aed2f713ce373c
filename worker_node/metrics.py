"""A worker's own metrics, served to Prometheus at `/metrics` if the setting asks for that.

Imports prometheus_client: agents without the setting start without it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from jobqueue.servers.round_trips import RoundTrips
from jobqueue.workers.registry import WorkerHeartbeat

MAX_HEAD_BYTES = 16 * 1024
REQUEST_SECONDS = 5.0

log = logging.getLogger(__name__)


class WorkerMetrics(Collector):
    """What a worker does.

    Args:
        slots: how many jobs it can run at a time.
        read_state: returns its state.
        round_trips: its calls to Redis.
    """

    def __init__(self, slots: int, read_state: Callable[[], WorkerHeartbeat], round_trips: RoundTrips) -> None:
        self._slots = slots
        self._read_state = read_state
        self._round_trips = round_trips

    def collect(self) -> Iterator[Metric]:
        state, trips = self._read_state(), self._round_trips
        yield GaugeMetricFamily("workmanager_worker_slots", "Jobs that run at a time", value=self._slots)
        yield GaugeMetricFamily("workmanager_worker_running_jobs", "Jobs that run now", value=state.running)
        yield GaugeMetricFamily(
            "workmanager_worker_draining", "Whether the worker takes no more jobs", value=state.state == "draining"
        )
        ended = CounterMetricFamily("workmanager_worker_jobs", "Runs that have ended", labels=("outcome",))
        ended.add_metric(("finished",), state.finished)
        ended.add_metric(("failed",), state.failed)
        yield ended
        yield CounterMetricFamily(
            "workmanager_worker_working_seconds", "Time that jobs ran", value=state.working_seconds
        )
        for name, description, value in (
            ("workmanager_redis_round_trips", "Calls to Redis that were answered", trips.answered),
            ("workmanager_redis_round_trip_seconds", "How long these took", trips.seconds),
            ("workmanager_redis_round_trips_failed", "Calls to Redis without an answer", trips.failed),
        ):
            yield CounterMetricFamily(name, description, value=value)


class MetricsServer:
    """Answers `GET /metrics`, and nothing else. One request for each connection."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(metrics)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. A worker that cannot works all the same."""
        try:
            self._server = await asyncio.start_server(self._answer, host, port, limit=MAX_HEAD_BYTES)
        except OSError as error:
            log.error("event=worker_metrics_not_served host=%s port=%d error=%r", host, port, str(error))
            return
        address = self._server.sockets[0].getsockname()
        log.info("event=worker_metrics_listening host=%s port=%d", *address[:2])

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(self._response(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # It is no scraper, or one that has gone.
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _response(self, head: str) -> bytes:
        first, *fields = head.split("\r\n")
        target = first.split(" ")[1:2]
        if not first.startswith("GET ") or target != ["/metrics"]:
            return _http("404 Not Found", "text/plain", b"this worker has nothing but GET /metrics\n")
        accept = [value for name, _, value in (field.partition(":") for field in fields) if name.lower() == "accept"]
        encode, content_type = choose_encoder(",".join(accept))
        return _http("200 OK", content_type, encode(self._registry))


def _http(status: str, content_type: str, body: bytes) -> bytes:
    fields = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body
