"""Clients that use the system all the time and record every answer."""

import asyncio
import itertools
import math
import random
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import httpx

from tests.acceptance.faults.delivery_ledger import Delivery, DeliveryLedger
from tests.acceptance.faults.system_under_test import API_KEY
from tests.acceptance.sha512 import sha512
from workmanager.http.transport import FIRST_ATTEMPT_TIMEOUT_SECONDS

LEASE_SECONDS = 15
_SUBMITTERS = 12  # enough of them that each shard always has a request
_REQUEST_INTERVAL_SECONDS = 0.15
_AVOIDED_SECONDS = 3.0
_ITERATIONS = 3
_GIVE_UP_SECONDS = 30.0
_SHARDS = 4  # two per master with jobs


@dataclass(frozen=True, slots=True)
class AcknowledgedWrite:
    """One acknowledged job, with its times on the event loop's clock and the number of attempts."""

    job_id: str
    started_at: float
    ended_at: float
    attempts: int


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A consumer's successful request, with the number of attempts."""

    ended_at: float
    attempts: int


@dataclass(slots=True)
class RequestLog:
    """A log of the successful requests."""

    writes: list[AcknowledgedWrite] = field(default_factory=list)
    served_requests: list[ServedRequest] = field(default_factory=list)

    def slowest_seconds(self, since: float) -> float:
        """Return the longest duration of a write acknowledged after `since`, with its retries."""
        return max((write.ended_at - write.started_at for write in self._after(since)), default=0.0)

    def max_attempts(self, since: float) -> int:
        """Return the most attempts of a request answered after `since`."""
        served = [served.attempts for served in self.served_requests if served.ended_at > since]
        return max([*served, *(write.attempts for write in self._after(since))], default=0)

    def silence_seconds(self, since: float, until: float) -> float:
        """Return the longest time in which a shard acknowledged nothing."""
        by_shard = self._by_shard(since).values()
        return max(later - earlier for times in by_shard for earlier, later in pairwise([since, *times, until]))

    def resumed_seconds(self, since: float) -> float:
        """Return how long after `since` the last shard acknowledged something; infinite if one has not."""
        return max(times[0] if times else math.inf for times in self._by_shard(since).values()) - since

    def _by_shard(self, since: float) -> dict[int, list[float]]:
        by_shard: dict[int, list[float]] = {shard: [] for shard in range(_SHARDS)}
        for write in self._after(since):
            by_shard[zlib.crc32(write.job_id.encode()) % _SHARDS].append(write.ended_at)
        return by_shard

    def _after(self, since: float) -> list[AcknowledgedWrite]:
        return [write for write in self.writes if write.ended_at > since]


class LoadClients:
    """Submitters with and without their own ids, and consumers with and without a lease.

    Args:
        urls: the managers. A manager that fails to answer within the Python client's first timeout is skipped for a
            while, as a load balancer does.
    """

    def __init__(self, urls: list[str], ledger: DeliveryLedger, *, seed: int) -> None:
        self.ledger = ledger
        self.requests = RequestLog()
        self._urls = urls
        self._avoided_until = dict.fromkeys(urls, 0.0)
        self._random = random.Random(seed)
        self._http = httpx.AsyncClient(
            trust_env=False,
            timeout=FIRST_ATTEMPT_TIMEOUT_SECONDS,
            headers={"Authorization": f"Bearer {API_KEY}"},
            limits=httpx.Limits(max_keepalive_connections=20),
        )
        self._submitting = True
        self._consuming = True
        self._submitters: list[asyncio.Task[None]] = []
        self._consumers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._submitters = [
            asyncio.create_task(self._submit(number, keyed=number > 1)) for number in range(_SUBMITTERS)
        ]
        self._consumers = [asyncio.create_task(self._consume(leased=leased)) for leased in (False, True)]

    def raise_if_failed(self) -> None:
        """Raise the error of a failed client."""
        for task in (*self._submitters, *self._consumers):
            if task.done():
                task.result()

    async def stop_submitting(self, seconds: float = 60.0) -> None:
        """Stop after the pending jobs are acknowledged or given up."""
        self._submitting = False
        done, late = await asyncio.wait(self._submitters, timeout=seconds)
        for task in late:
            task.cancel()
        for task in done:
            task.result()

    async def close(self) -> None:
        self._consuming = False
        done, late = await asyncio.wait(self._consumers, timeout=30)
        for task in late:
            task.cancel()
        await self._http.aclose()
        for task in done:
            task.result()

    async def find_results(self, job_ids: list[str]) -> dict[str, Any]:
        """Return the values that `/jobs/{id}` has for finished jobs."""
        found = {}
        for job_id in job_ids:
            answer = await self._retry(partial(self._get, job_id), {200, 404}, 20)
            if answer is not None and answer.status_code == 200 and answer.json()["status"] == "finished":
                found[job_id] = answer.json()["result"]
        return found

    async def _submit(self, submitter: int, *, keyed: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in itertools.count():
            if not self._submitting:
                return
            data = f"{submitter}-{number}-{self._random.random()}".encode()
            value = sha512(data, _ITERATIONS)
            job_id = f"s{submitter}-{number}" if keyed else ""
            started_at, attempts, acknowledged = loop.time(), 0, False
            while not acknowledged and (self._submitting or loop.time() - started_at < _GIVE_UP_SECONDS):
                attempts += 1
                acknowledged, answered_id = await self._enqueue(self._choose(), data, job_id)
                job_id = answered_id or job_id
                if acknowledged:
                    self.ledger.acknowledge(job_id, value, loop.time())
                    self.requests.writes.append(AcknowledgedWrite(job_id, started_at, loop.time(), attempts))
                elif job_id:
                    self.ledger.unacknowledged[job_id] = value
                else:  # the id, if any, is not known: the retry may create a second job
                    self.ledger.values_without_id.add(value)
                if not acknowledged:
                    await asyncio.sleep(0.2)
            await asyncio.sleep(_REQUEST_INTERVAL_SECONDS * self._random.uniform(0.5, 1.5))

    async def _enqueue(self, url: str, data: bytes, job_id: str) -> tuple[bool, str]:
        """Send one job; return whether it was acknowledged, and the id in the answer."""
        parameters = {"iterations": str(_ITERATIONS), **({"id": job_id} if job_id else {})}
        try:
            answer = await self._http.put(f"{url}/enqueue", params=parameters, content=data)
            content = answer.json()
        except (httpx.HTTPError, ValueError):
            self._avoid(url)
            return False, ""
        if answer.status_code == 200:
            return True, content["Work ID"]
        assert answer.status_code == 503, f"{answer.status_code} {content}"
        self._avoid(url)
        return False, content.get("id") or ""

    async def _consume(self, *, leased: bool) -> None:
        loop = asyncio.get_running_loop()
        parameters = {"top": "50", "wait": "1", **({"lease": str(LEASE_SECONDS)} if leased else {})}
        attempts = 0
        while self._consuming:
            url = self._choose()
            started_at = loop.time()
            attempts += 1
            try:
                answer = await self._http.post(f"{url}/pullCompleted", params=parameters)
                results = answer.json()
            except (httpx.HTTPError, ValueError):
                self._avoid(url)
                results = []
            else:
                assert answer.status_code in (200, 503), f"{answer.status_code} {results}"
                if answer.status_code == 200:
                    self.requests.served_requests.append(ServedRequest(loop.time(), attempts))
                    attempts = 0
                else:
                    results = []
            deliveries = {
                result["Work ID"]: Delivery(result["Value"], started_at, loop.time(), leased) for result in results
            }
            for job_id, delivery in deliveries.items():
                self.ledger.deliver(job_id, delivery)
            if leased and deliveries:
                acked = await self._retry(partial(self._ack, list(deliveries)), {200}, LEASE_SECONDS / 2)
                if acked is not None and acked.json()["acknowledged"] == len(deliveries):
                    for delivery in deliveries.values():
                        delivery.acked_at = loop.time()
            await asyncio.sleep(_REQUEST_INTERVAL_SECONDS)

    async def _get(self, job_id: str, url: str) -> httpx.Response:
        return await self._http.get(f"{url}/jobs/{job_id}")

    async def _ack(self, job_ids: list[str], url: str) -> httpx.Response:
        return await self._http.post(f"{url}/ackCompleted", json={"ids": job_ids})

    async def _retry(
        self, request: Callable[[str], Awaitable[httpx.Response]], expected_statuses: set[int], seconds: float
    ) -> httpx.Response | None:
        """Retry until a manager answers with an expected status; None if none does in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for attempts in itertools.count(1):
            if loop.time() >= deadline:
                break
            url = self._choose()
            try:
                answer = await request(url)
                if answer.status_code in expected_statuses:
                    self.requests.served_requests.append(ServedRequest(loop.time(), attempts))
                    return answer
            except httpx.HTTPError:
                self._avoid(url)
            await asyncio.sleep(0.2)
        return None

    def _choose(self) -> str:
        """Choose a manager that answered, or the one whose failure is the oldest."""
        now = asyncio.get_running_loop().time()
        available = [url for url in self._urls if self._avoided_until[url] <= now]
        return self._random.choice(available) if available else min(self._urls, key=self._avoided_until.__getitem__)

    def _avoid(self, url: str) -> None:
        self._avoided_until[url] = asyncio.get_running_loop().time() + _AVOIDED_SECONDS
