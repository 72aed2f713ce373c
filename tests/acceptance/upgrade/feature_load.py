"""Jobs that use what jobs can ask for, and requests to all views, while programs are replaced."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.acceptance.faults.system_under_test import API_KEY

_INTERVAL_SECONDS = 0.7
_LONG_SECONDS = 4.0
_NOOP: Mapping[str, Any] = {"function": "noop"}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "plain": _NOOP,
    "long": {"function": "sleep", "kwargs": {"seconds": _LONG_SECONDS}},
    "retried": {"function": "sleep", "kwargs": {"seconds": 9}, "timeout": 1, "retry": {"max": 1, "intervals": [1]}},
    "delayed": {**_NOOP, "delay": 3},
    "lifo": {**_NOOP, "order": "lifo"},
    "limited": {"function": "sleep", "kwargs": {"seconds": 0.1}, "limits": [{"key": "upgrade", "concurrency": 1}]},
    "rated": {**_NOOP, "limits": [{"key": "upgrade-rate", "rate": "100/1m"}]},
    "fair": {**_NOOP, "fair_key": "upgrade"},
    "isolated": {**_NOOP, "isolation": "job"},
    "told": {**_NOOP, "callback_url": "listen:upgrade"},
    "labeled": {**_NOOP, "labels": {"upgrade": "yes"}, "meta": {"note": "a"}},
}
"""What is submitted, by the name that begins the jobs' ids; `child`, whose parent is a long job, beside them."""
VIEWS = (
    *("/status", "/queues", "/workers", "/scaler", "/metrics", "/readyz", "/jobs?status=started", "/limits"),
    *("/jobs?status=failed", "/jobs?status=finished", "/schedules", "/operations", "/audit", "/callbacks", "/keys"),
    *("/jobs?status=scheduled", "/jobs?status=deferred", "/jobs?label=upgrade:yes", "/openapi.json", "/"),
)
_UNKNOWN = {400, 404, 405, 422}
"""Statuses of a version that does not know what is asked for."""


@dataclass(slots=True)
class FeatureLoad:
    """Submits a job of each kind again and again, and looks at all views of each manager.

    Attributes:
        submitted: the kind of each acknowledged job, by id.
        refused: kinds that a manager did not take, as an older version does not know them: its last answer.
        faults: what was wrong, in words.
    """

    urls: Sequence[str]
    submitted: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _stopping: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._submit()), *(asyncio.create_task(self._view(u)) for u in self.urls)]

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def check_ends(self, seconds: float) -> None:
        """Wait for the end of each job, and note those that did not end as they should."""
        deadline = asyncio.get_running_loop().time() + seconds
        async with self._client() as client:
            for (job_id, kind), url in zip(self.submitted.items(), itertools.cycle(self.urls), strict=False):
                wanted = "failed" if kind == "retried" else "finished"
                while True:
                    job = (await client.get(f"{url}/jobs/{job_id}")).json()
                    if job.get("status") == wanted or asyncio.get_running_loop().time() > deadline:
                        break
                    await asyncio.sleep(0.1)
                told = {name: job.get(name) for name in ("status", "attempts", "error")}
                if job.get("status") != wanted:
                    self.faults.append(f"{job_id} has not ended as {wanted}: {told}")
                elif job["attempts"] != (2 if kind == "retried" else 1):
                    self.faults.append(f"{job_id} has run {job['attempts']} times: {told}")

    async def _submit(self) -> None:
        async with self._client() as client:
            for number, url in zip(itertools.count(), itertools.cycle(self.urls), strict=False):
                if self._stopping:
                    return
                for kind, body in (*KINDS.items(), ("child", {**_NOOP, "depends_on": [f"long-{number}"]})):
                    # On a cluster, limits are on the first shard, and an id of one's own is on any.
                    identity = {} if "limits" in body else {"id": f"{kind}-{number}"}
                    await self._send(client, url, kind, {**body, **identity})
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def _send(self, client: httpx.AsyncClient, url: str, kind: str, body: Mapping[str, Any]) -> None:
        """Submit one job, again and again until it is acknowledged; an id makes that one job, else it may be more."""
        for target in itertools.cycle([url, *self.urls]):
            try:
                answer = await client.post(f"{target}/jobs", json=body)
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code in _UNKNOWN:
                self.refused[kind] = f"{answer.status_code} {answer.text}"
            elif answer.is_success:
                self.submitted[answer.json()["id"]] = kind
            elif answer.status_code == 503:
                await asyncio.sleep(0.1)
                continue
            else:
                self.faults.append(f"POST /jobs {kind}: {answer.status_code} {answer.text}")
            return

    async def _view(self, url: str) -> None:
        async with self._client() as client:
            while not self._stopping:
                for path in VIEWS:
                    try:
                        answer = await client.get(url + path)
                    except httpx.HTTPError:
                        await asyncio.sleep(0.1)
                        continue
                    if answer.status_code >= 500 and answer.status_code != 503:
                        self.faults.append(f"GET {path}: {answer.status_code} {answer.text[:300]}")
                await asyncio.sleep(_INTERVAL_SECONDS)

    def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {API_KEY}", "Accept": "application/json, text/html"}
        return httpx.AsyncClient(trust_env=False, timeout=20, headers=headers)
