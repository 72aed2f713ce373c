"""Those who use the system all the time, and write down what they were told."""

from __future__ import annotations

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
_SUBMITTERS = 12  # enough of them that each shard is wanted at any moment
_PACE_SECONDS = 0.15
_SHUNNED_SECONDS = 3.0
_ITERATIONS = 3
_SHARDS = 4  # two for each master with jobs


@dataclass(frozen=True, slots=True)
class AcknowledgedWrite:
    """One acknowledged job, on the event loop's clock, and how often it had to be sent."""

    job_id: str
    started_at: float
    ended_at: float
    attempts: int


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request of a consumer that was answered as wanted, and how often it had to be sent."""

    ended_at: float
    attempts: int


@dataclass(slots=True)
class RequestLog:
    """How jobs were acknowledged, and consumers served."""

    writes: list[AcknowledgedWrite] = field(default_factory=list)
    served_requests: list[ServedRequest] = field(default_factory=list)

    def slowest_seconds(self, since: float) -> float:
        """Of those that were acknowledged after `since`, with all their repeats."""
        return max((write.ended_at - write.started_at for write in self._after(since)), default=0.0)

    def max_attempts(self, since: float) -> int:
        """How often one request that was answered after `since` had to be sent."""
        served = [served.attempts for served in self.served_requests if served.ended_at > since]
        return max([*served, *(write.attempts for write in self._after(since))], default=0)

    def silence_seconds(self, since: float, until: float) -> float:
        """The longest time in which one of the shards acknowledged nothing."""
        by_shard = self._by_shard(since).values()
        return max(later - earlier for times in by_shard for earlier, later in pairwise([since, *times, until]))

    def resumed_seconds(self, since: float) -> float:
        """How long after `since` each shard has acknowledged something; infinite where one has not."""
        return max(times[0] if times else math.inf for times in self._by_shard(since).values()) - since

    def _by_shard(self, since: float) -> dict[int, list[float]]:
        by_shard: dict[int, list[float]] = {shard: [] for shard in range(_SHARDS)}
        for write in self._after(since):
            by_shard[zlib.crc32(write.job_id.encode()) % _SHARDS].append(write.ended_at)
        return by_shard

    def _after(self, since: float) -> list[AcknowledgedWrite]:
        return [write for write in self.writes if write.ended_at > since]


class LoadClients:
    """Submitters with ids of their own and without, and consumers with lease and without.

    Args:
        urls: of the managers. One that has failed to answer, for as long as the Python client waits for it at first, is
            passed over for a while, as a load balancer does.
    """

    def __init__(self, urls: list[str], ledger: DeliveryLedger, *, seed: int) -> None:
        self.ledger = ledger
        self.requests = RequestLog()
        self._urls = urls
        self._shunned_until = dict.fromkeys(urls, 0.0)
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
        """Raises what ended one of them."""
        for task in (*self._submitters, *self._consumers):
            if task.done():
                task.result()

    async def stop_submitting(self, seconds: float = 60.0) -> None:
        """Lets what was begun be acknowledged, or be given up."""
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
        """The values that stand at `/jobs/{id}`, of those that have one."""
        found = {}
        for job_id in job_ids:
            answer = await self._repeat(partial(self._get, job_id), {200, 404}, 20)
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
            begun, attempts, acknowledged = loop.time(), 0, False
            while not acknowledged and (self._submitting or loop.time() - begun < 30):
                attempts += 1
                acknowledged, told_id = await self._enqueue(self._choose(), data, job_id)
                job_id = told_id or job_id
                if acknowledged:
                    self.ledger.acknowledge(job_id, value, loop.time())
                    self.requests.writes.append(AcknowledgedWrite(job_id, begun, loop.time(), attempts))
                elif job_id:
                    self.ledger.unacknowledged[job_id] = value
                else:  # nobody said which id it got, if any: the next try may make a second job
                    self.ledger.values_without_id.add(value)
                if not acknowledged:
                    await asyncio.sleep(0.2)
            await asyncio.sleep(_PACE_SECONDS * self._random.uniform(0.5, 1.5))

    async def _enqueue(self, url: str, data: bytes, job_id: str) -> tuple[bool, str]:
        """Whether it was acknowledged, and the id that was told."""
        parameters = {"iterations": str(_ITERATIONS), **({"id": job_id} if job_id else {})}
        try:
            answer = await self._http.put(f"{url}/enqueue", params=parameters, content=data)
            told = answer.json()
        except (httpx.HTTPError, ValueError):
            self._shun(url)
            return False, ""
        if answer.status_code == 200:
            return True, told["Work ID"]
        assert answer.status_code == 503, f"{answer.status_code} {told}"
        self._shun(url)
        return False, told.get("id") or ""

    async def _consume(self, *, leased: bool) -> None:
        loop = asyncio.get_running_loop()
        parameters = {"top": "50", "wait": "1", **({"lease": str(LEASE_SECONDS)} if leased else {})}
        attempts = 0
        while self._consuming:
            url = self._choose()
            begun = loop.time()
            attempts += 1
            try:
                answer = await self._http.post(f"{url}/pullCompleted", params=parameters)
                results = answer.json()
            except (httpx.HTTPError, ValueError):
                self._shun(url)
                results = []
            else:
                assert answer.status_code in (200, 503), f"{answer.status_code} {results}"
                if answer.status_code == 200:
                    self.requests.served_requests.append(ServedRequest(loop.time(), attempts))
                    attempts = 0
                else:
                    results = []
            handed = {result["Work ID"]: Delivery(result["Value"], begun, loop.time(), leased) for result in results}
            for job_id, hand_out in handed.items():
                self.ledger.deliver(job_id, hand_out)
            if leased and handed:
                confirmed = await self._repeat(partial(self._confirm, list(handed)), {200}, LEASE_SECONDS / 2)
                if confirmed is not None and confirmed.json()["acknowledged"] == len(handed):
                    for hand_out in handed.values():
                        hand_out.acked_at = loop.time()
            await asyncio.sleep(_PACE_SECONDS)

    async def _get(self, job_id: str, url: str) -> httpx.Response:
        return await self._http.get(f"{url}/jobs/{job_id}")

    async def _confirm(self, job_ids: list[str], url: str) -> httpx.Response:
        return await self._http.post(f"{url}/ackCompleted", json={"ids": job_ids})

    async def _repeat(
        self, request: Callable[[str], Awaitable[httpx.Response]], wanted: set[int], seconds: float
    ) -> httpx.Response | None:
        """The first answer of a wanted kind, whichever manager gives it; None where none did in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        for attempts in itertools.count(1):
            if loop.time() >= deadline:
                break
            url = self._choose()
            try:
                answer = await request(url)
                if answer.status_code in wanted:
                    self.requests.served_requests.append(ServedRequest(loop.time(), attempts))
                    return answer
            except httpx.HTTPError:
                self._shun(url)
            await asyncio.sleep(0.2)
        return None

    def _choose(self) -> str:
        """A manager: one of those that answered, else the one that failed the longest ago."""
        now = asyncio.get_running_loop().time()
        well = [url for url in self._urls if self._shunned_until[url] <= now]
        return self._random.choice(well) if well else min(self._urls, key=self._shunned_until.__getitem__)

    def _shun(self, url: str) -> None:
        self._shunned_until[url] = asyncio.get_running_loop().time() + _SHUNNED_SECONDS
