"""The pages of jobs: lists by status, and one job with what can be done to it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson
from fastapi import Request, Response

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.labeled import LabeledPage, labeled_jobs
from jobqueue.inspection.listing import LISTABLE_STATUSES, list_jobs
from jobqueue.inspection.newest import MAX_SEARCHED, NEWEST_STATUSES, NewestPage, newest_jobs
from jobqueue.job_view import JobView
from jobqueue.model import Status
from manager.api_keys.caller import Caller
from manager.dashboard.api import Api, ask
from manager.dashboard.forms import go_to, notice_of, page_query, read_form
from manager.dashboard.rendering import Pages, quote_part
from manager.dashboard.sampler import Sampler
from manager.dashboard.views.failures import group_key
from manager.dashboard.views.jobs import REQUEUABLE, job_row, job_rows, life_of, status_counts
from manager.explain.reading import Known
from manager.http.authentication import caller_of
from manager.http.dashboard_paths import JOBS
from manager.http.query_parameters import Choice, Text
from manager.queue.connection import QueueConnection
from manager.schemas.submission import LABEL_NAME_PATTERN, LABEL_VALUE_PATTERN

PAGE_JOBS = 50
_ANYTHING = r"[^\x00-\x1f\x7f]{0,256}"
# Forms send fields that are empty.
LIST_QUERY = page_query(
    Choice("status", "The status", ("", *LISTABLE_STATUSES)),
    Text("label", "A label", f"({LABEL_NAME_PATTERN}:{LABEL_VALUE_PATTERN})?"),
    Text("queue", "The queue", _ANYTHING),
    Text("function", "The function", _ANYTHING),
    Text("id", "The job to go to", _ANYTHING),
    Text("group", "The group of failures", "[0-9a-f]{0,16}"),
    Text("cursor", "Where the page begins", "[A-Za-z0-9_-]{0,1024}"),
)
JOB_QUERY = page_query()


@dataclass(frozen=True, slots=True)
class JobReader:
    """Reads lists of jobs as callers see them."""

    queue: QueueConnection
    functions: FunctionRegistry
    hide_arguments_of: Sequence[str]

    async def newest(
        self,
        caller: Caller,
        status: Status,
        *,
        queue: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_JOBS,
        max_searched: int = MAX_SEARCHED,
        matches: Callable[[JobView], bool] | None = None,
    ) -> NewestPage:
        """Return a page of jobs with a status; `matches` leaves some out."""
        shards, shows = self.queue.service.shards, caller.sees if caller.is_bound else None
        if status in NEWEST_STATUSES:
            # One that did not answer a moment ago would keep the page waiting.
            available = self.queue.service.breaker.available(shards.all)
            page = await newest_jobs(
                *(available or shards.all, self.functions, status),
                queue=queue,
                limit=limit,
                max_searched=max_searched,
                cursor=cursor,
                matches=matches,
                shows=shows,
                hide_arguments_of=self.hide_arguments_of,
            )
            return replace(page, shards_missing=page.shards_missing + len(shards) - len(available or shards.all))
        listed = await list_jobs(
            *(shards, self.functions),
            status=status,
            queue=queue,
            limit=limit if matches is None else MAX_SEARCHED,
            cursor=cursor,
            hide_arguments_of=self.hide_arguments_of,
            shows=shows,
        )
        jobs = tuple(job for job in listed.jobs if matches is None or matches(job))
        return NewestPage(jobs, len(listed.jobs), listed.cursor, 0)

    async def labeled(
        self, caller: Caller, label: str, status: Status | None, queue: str | None, cursor: str | None
    ) -> LabeledPage:
        """Return a page of jobs with a label."""
        return await labeled_jobs(
            *(self.queue.service.shards, self.functions, label),
            status=status,
            queue=queue,
            limit=PAGE_JOBS,
            cursor=cursor,
            shows=caller.sees if caller.is_bound else None,
            hide_arguments_of=self.hide_arguments_of,
        )


SHOWN_LINES = 200
"""Of a job's log, the last ones."""


class JobPages:
    """Handlers.

    Args:
        api: reads and changes jobs.
    """

    def __init__(self, pages: Pages, sampler: Sampler, reader: JobReader, api: Api) -> None:
        self._pages = pages
        self._sampler = sampler
        self._reader = reader
        self._job_routes = api.jobs
        self._explain = api.explain.document

    async def list(self, request: Request) -> Response:
        """Show jobs of a status."""
        query = LIST_QUERY.parse(request.scope["query_string"])
        if query["id"]:
            return go_to(f"{JOBS}/{quote_part(query['id'].strip())}")
        if query["label"]:
            return await self._list_labeled(request)
        caller, status = caller_of(request.scope), Status(query["status"] or Status.STARTED)
        queue, function, group = query["queue"] or None, query["function"] or None, query["group"] or None

        def matches(job: JobView) -> bool:
            return function in (None, job.function) and (group is None or group_key(job) == group)

        searches = function is not None or group is not None
        page, sample = await asyncio.gather(
            self._reader.newest(
                *(caller, status), queue=queue, cursor=query["cursor"] or None, matches=matches if searches else None
            ),
            self._sampler.current(changed=query["done"] is not None),
        )
        counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
        total = counts.total if queue is None else counts.queues.get(queue)
        return self._pages.page(
            *("jobs.html", caller),
            here=JOBS,
            notice=notice_of(query["done"], query["n"]),
            rows=job_rows(page.jobs, datetime.now(UTC)),
            page=page,
            status=status,
            queue=queue,
            function=function,
            group=group,
            searches=searches,
            cursor=query["cursor"],
            statuses=status_counts(total) if total is not None else [(each, None) for each in LISTABLE_STATUSES],
            queues=sorted(counts.queues),
            functions=self._reader.functions.names,
        )

    async def _list_labeled(self, request: Request) -> Response:
        query, caller = LIST_QUERY.parse(request.scope["query_string"]), caller_of(request.scope)
        status, queue = Status(query["status"]) if query["status"] else None, query["queue"] or None
        now = datetime.now(UTC)
        page = await self._reader.labeled(caller, query["label"], status, queue, query["cursor"] or None)
        return self._pages.page(
            *("labeled.html", caller),
            here=JOBS,
            rows=[job_row(job, now) for job in page.jobs],
            page=page,
            label=query["label"],
            status=status,
            queue=queue,
            cursor=query["cursor"],
            statuses=LISTABLE_STATUSES,
        )

    async def show(self, request: Request) -> Response:
        """Show a job."""
        query = JOB_QUERY.parse(request.scope["query_string"])
        caller = caller_of(request.scope)
        job, attempts = await self._job_routes.read(request)
        status = Status(job.status)
        sample = self._sampler.last_of_many()
        known = None if sample is None else Known(sample.workers, sample.scaler)
        explained = None if status.ended else await self._explain(request, known)
        log = await ask(self._job_routes.logs, request)
        return self._pages.page(
            *("job.html", caller),
            here=JOBS,
            notice=notice_of(query["done"], query["n"]),
            job=job,
            steps=life_of(job, attempts),
            attempts=attempts,
            result=None if job.result is None else orjson.loads(job.result),
            explained=explained,
            log=log["lines"][-SHOWN_LINES:],
            left_out=log["dropped"] + max(0, len(log["lines"]) - SHOWN_LINES),
            ended=status.ended,
            can_cancel=not status.ended,
            can_requeue=status in REQUEUABLE,
            can_delete=status is not Status.STARTED,
        )

    async def cancel(self, request: Request) -> Response:
        """Cancel a job."""
        await read_form(request)
        answer = await self._job_routes.cancel(request)
        return go_to(_path(request), "canceled" if answer.status_code == 200 else "stopping")

    async def requeue(self, request: Request) -> Response:
        """Queue a job again."""
        await read_form(request)
        await self._job_routes.requeue(request)
        return go_to(_path(request), "requeued")

    async def delete(self, request: Request) -> Response:
        """Delete a job."""
        await read_form(request)
        await self._job_routes.delete(request)
        return go_to(JOBS, "deleted")


def _path(request: Request) -> str:
    return f"{JOBS}/{quote_part(request.path_params['job_id'])}"
