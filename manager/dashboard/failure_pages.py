"""The page of failures, grouped by function and error, and what can be done to a group."""

import asyncio

from fastapi import Request, Response

from jobqueue.inspection.newest import NewestPage
from jobqueue.job_view import JobView
from jobqueue.model import Status
from manager.dashboard.forms import go_to, notice_of, page_query, read_form
from manager.dashboard.job_pages import JobReader
from manager.dashboard.rendering import Pages, page_address
from manager.dashboard.sampler import Sampler
from manager.dashboard.views.failures import group_failures, group_key
from manager.http.authentication import caller_of
from manager.http.dashboard_paths import FAILURES
from manager.http.query_parameters import NO_PARAMETERS, Text

MAX_FAILURES = 300
"""That a page looks at, and a button changes."""
QUERY = page_query(
    Text("queue", "The queue", r"[^\x00-\x1f\x7f]{0,256}"),
    Text("cursor", "Where to begin", "[A-Za-z0-9_-]{0,1024}"),
)


class FailurePages:
    """Handlers."""

    def __init__(self, pages: Pages, sampler: Sampler, reader: JobReader) -> None:
        self._pages = pages
        self._sampler = sampler
        self._reader = reader

    async def show(self, request: Request) -> Response:
        """Show the groups of the newest failures."""
        query = QUERY.parse(request.scope["query_string"])
        caller, queue = caller_of(request.scope), query["queue"] or None
        page, sample = await asyncio.gather(
            self._read(request, queue, query["cursor"] or None),
            self._sampler.current(changed=query["done"] is not None),
        )
        counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
        of_queue = counts.total if queue is None else counts.queues.get(queue)
        return self._pages.page(
            *("failures.html", caller),
            here=FAILURES,
            notice=notice_of(query["done"], query["n"]),
            groups=group_failures(page.jobs),
            page=page,
            total=0 if of_queue is None else of_queue.failed,
            queue=queue,
            cursor=query["cursor"] or "",
            queues=sorted(name for name, numbers in counts.queues.items() if numbers.failed),
        )

    async def requeue(self, request: Request) -> Response:
        """Queue the jobs of a group again: those among the failures that its page has looked at."""
        return await self._change(request, "requeued-jobs")

    async def delete(self, request: Request) -> Response:
        """Delete the jobs of a group, in the same way."""
        return await self._change(request, "deleted-jobs")

    async def _change(self, request: Request, done: str) -> Response:
        NO_PARAMETERS.parse(request.scope["query_string"])
        form = await read_form(request)
        # As in the page's address, where they are checked.
        address = page_address(FAILURES, queue=form.get("queue"), cursor=form.get("cursor"))
        query = QUERY.parse(address.partition("?")[2].encode())
        page = await self._read(request, query["queue"] or None, query["cursor"] or None)
        jobs = [job for job in page.jobs if group_key(job) == form.get("group")]
        operations = self._reader.queue.service.operations
        change = operations.requeue if done == "requeued-jobs" else operations.delete
        is_bound = caller_of(request.scope).is_bound

        async def apply(job: JobView) -> str:
            # The id may be that of another queue's job by now.
            return await change(job.id, job.queue if is_bound else None)

        answers = await asyncio.gather(*map(apply, jobs))
        changed = sum(answer in ("queued", "deleted") for answer in answers)
        return go_to(page_address(FAILURES, queue=query["queue"]), done, changed)

    async def _read(self, request: Request, queue: str | None, cursor: str | None) -> NewestPage:
        caller = caller_of(request.scope)
        return await self._reader.newest(
            *(caller, Status.FAILED), queue=queue, cursor=cursor, limit=MAX_FAILURES, max_searched=MAX_FAILURES
        )
