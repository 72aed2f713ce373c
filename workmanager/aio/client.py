"""The Python client for asyncio: `AsyncClient` has the methods of `workmanager.client.Client`.

    async with AsyncClient(["http://127.0.0.1:5000", "http://127.0.0.1:5001"]) as client:
        work_id = await client.enqueue(b"data", iterations=1_000)
        async for job in client.as_completed([work_id]):
            print(await job.result())

What waits for a manager is a coroutine; what yields is an async iterator.
"""

# Made of workmanager/client.py by scripts/generate_async_client.py. Do not edit.

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from workmanager.aio.administration_methods import AsyncAdministrationMethods
from workmanager.aio.handles import AsyncJobHandle
from workmanager.aio.job_methods import AsyncJobMethods
from workmanager.aio.transport import AsyncTransport
from workmanager.aio.workflow_methods import AsyncWorkflowMethods
from workmanager.client import DEFAULT_URL, MAX_AHEAD, Completed
from workmanager.errors import ClientError
from workmanager.http.batch_answers import batch_error, can_be_sent_again, retry_after_seconds
from workmanager.http.submission import (
    Batch,
    JobOptions,
    Submission,
    has_id,
    job_json,
    new_id,
    split_into_batches,
    with_id,
)
from workmanager.http.warnings import Warnings

if TYPE_CHECKING:
    from workmanager.aio.callbacks import AsyncCallbacks
    from workmanager.aio.operations import AsyncOperations
    from workmanager.aio.schedules import AsyncSchedules
    from workmanager.aio.system import AsyncSystem


class AsyncClient(AsyncJobMethods, AsyncWorkflowMethods, AsyncAdministrationMethods):
    """A client of one system, through any of its managers. For one event loop.

    `callbacks`, `operations`, `schedules` and `system` have methods of their own. Each is imported when it is first
    asked for: a command needs one at most, and waits for what is imported.
    """

    def __init__(self, urls: str | Sequence[str], key: str | None = None, *, retry_seconds: float = 15.0) -> None:
        """Open no connection yet.

        Args:
            urls: addresses of one or several managers.
            key: an API key, if the managers require one.
            retry_seconds: the longest time from a request's first attempt to its last.

        Raises:
            UsageError: no URL, one that is not http:// or https://, or a key that no header can carry.
        """
        self._warnings = Warnings()
        self._retry_seconds = retry_seconds
        self._transport = AsyncTransport([urls] if isinstance(urls, str) else urls, key, retry_seconds=retry_seconds)

    @cached_property
    def callbacks(self) -> "AsyncCallbacks":
        """Lists and shows callbacks, sends them again, fetches those for a listener."""
        from workmanager.aio.callbacks import AsyncCallbacks

        return AsyncCallbacks(self._transport)

    @cached_property
    def operations(self) -> "AsyncOperations":
        """Requeues, cancels or deletes all jobs that match."""
        from workmanager.aio.operations import AsyncOperations

        return AsyncOperations(self._transport)

    @cached_property
    def schedules(self) -> "AsyncSchedules":
        """Creates, shows, changes and deletes schedules."""
        from workmanager.aio.schedules import AsyncSchedules

        return AsyncSchedules(self._transport)

    @cached_property
    def system(self) -> "AsyncSystem":
        """Shows workers, the audit stream and metrics."""
        from workmanager.aio.system import AsyncSystem

        return AsyncSystem(self._transport)

    @classmethod
    def from_environment(cls, *, retry_seconds: float = 15.0) -> Self:
        """Return a client of the managers in `WORKMANAGER_URL`, with the API key in `WORKMANAGER_API_KEY`.

        These are the variables of the commands. The URLs are separated by commas; default: `http://127.0.0.1:5000`.

        Raises:
            UsageError: a URL is not http:// or https://, or no header can carry the key.
        """
        urls = [url.strip() for url in os.environ.get("WORKMANAGER_URL", "").split(",") if url.strip()]
        return cls(urls or DEFAULT_URL, os.environ.get("WORKMANAGER_API_KEY") or None, retry_seconds=retry_seconds)

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def enqueue(
        self,
        data: bytes,
        *,
        iterations: int,
        job_id: str | None = None,
        timeout_seconds: int | None = None,
        callback_url: str | None = None,
    ) -> str:
        """Submit a job: SHA-512 of `data`, `iterations` times. Return its Work ID."""
        answer = await self._transport.request_json(
            "PUT",
            "/enqueue",
            idempotent=True,
            params={
                "iterations": iterations,
                "id": job_id or new_id(),
                "timeout": timeout_seconds,
                "callback_url": callback_url,
            },
            content=data,
            headers={"Content-Type": "application/octet-stream"},
        )
        self._warnings.tell(answer)
        return str(answer["Work ID"])

    async def submit(self, function: str, **options: Unpack[JobOptions]) -> str:
        """Submit a job and return its id. With `unique`, a duplicate within its time is a `ClientError` 409.

        Raises:
            UsageError: an option cannot be written as JSON.
        """
        submission = with_id({"function": function, **options})
        answer = await self._transport.request_json(
            "POST",
            "/jobs",
            idempotent=has_id(submission),
            content=job_json(submission),
            headers={"Content-Type": "application/json"},
        )
        self._warnings.tell(answer)
        return str(answer["id"])

    async def submit_many(self, submissions: Iterable[Submission]) -> AsyncIterator[str | ClientError]:
        """Submit many jobs in a few requests. Yield the id of each job, or the error that refused it, in order.

        Raises:
            UsageError: a job cannot be written as JSON. Those before it that have no answer yet are not submitted.
        """
        for batch in split_into_batches(map(with_id, submissions)):
            results = await self._submit_batch(batch)
            for pause_seconds in self._transport.backoff():
                failed = [i for i, result in enumerate(results) if can_be_sent_again(result, has_id=batch.has_id[i])]
                if not failed:
                    break
                pause_seconds = max(pause_seconds, *(retry_after_seconds(results[i]) for i in failed))
                if pause_seconds > self._retry_seconds:
                    break
                await asyncio.sleep(pause_seconds)
                for i, result in zip(failed, await self._submit_batch(batch.subset(failed)), strict=True):
                    results[i] = result
            for item in results:
                yield item

    async def pull(
        self,
        top: int = 100,
        *,
        order: Literal["latest", "oldest"] = "latest",
        lease_seconds: int | None = None,
        wait_seconds: int | None = None,
    ) -> list[Completed]:
        """Take up to `top` (1 to 10,000) completed results. Each is delivered once.

        With `lease_seconds`, a result is delivered again unless `ack` confirms it in time. If there is none, wait for
        the first one for up to `wait_seconds` (at most 55), then return an empty list. Without a lease, a request
        whose answer was lost is not retried: its results can still be read with `job`.
        """
        answer = await self._transport.request_json(
            "POST",
            "/pullCompleted",
            idempotent=lease_seconds is not None,
            retry_on_503=True,
            params={
                "top": top,
                "order": order if order != "latest" else None,
                "lease": lease_seconds,
                "wait": wait_seconds,
            },
            wait_seconds=wait_seconds or 0,
        )
        return [Completed(item["Work ID"], item["Value"]) for item in answer]

    async def ack(self, ids: Iterable[str]) -> int:
        """Acknowledge leased results, so that they are not delivered again. Return how many were waiting for it."""
        answer = await self._transport.request_json("POST", "/ackCompleted", idempotent=True, json={"ids": list(ids)})
        return int(answer["acknowledged"])

    async def map(self, function: str, items: Iterable[Any], **options: Unpack[JobOptions]) -> AsyncIterator[Any]:
        """Call a function with each item as its only argument, each in a job; yield the results in the items' order.

        Items are taken, and jobs submitted, 500 at a time and up to 1,000 ahead of the result that is yielded, so that
        any number of items needs little memory. The results do not enter the feed of `pull`.

        Raises:
            JobFailed: a job did not finish. Those after it stay where they are.
            ClientError: a job was refused.
        """
        submissions: Iterator[Any] = (
            {"feed": False, **options, "function": function, "args": [item]} for item in items
        )
        handles: deque[AsyncJobHandle] = deque()
        async for job_id in self.submit_many(submissions):
            if isinstance(job_id, ClientError):
                raise job_id
            handles.append(self.handle(job_id))
            if len(handles) > MAX_AHEAD:
                yield (await handles.popleft().result())
        while handles:
            yield (await handles.popleft().result())

    async def _submit_batch(self, batch: Batch) -> list[str | ClientError]:
        answer = await self._transport.request(
            "POST",
            "/jobs/batch",
            idempotent=all(batch.has_id),
            content=b"".join(batch.lines),
            headers={"Content-Type": "application/x-ndjson"},
        )
        results = [json.loads(line) for line in answer.content.splitlines()]
        if len(results) != len(batch.lines):
            raise ClientError(f"{answer.url} gave {len(results)} answers to {len(batch.lines)} jobs")
        for result in results:
            self._warnings.tell(result)
        return [batch_error(result["error"]) if "error" in result else str(result["id"]) for result in results]
