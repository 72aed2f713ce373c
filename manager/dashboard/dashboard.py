"""Puts the dashboard together: its pages, its stream, and what its buttons do."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from manager.api_keys.table import KeyTable
from manager.dashboard.attention import Attention
from manager.dashboard.forms import go_to, notice_of, own_page, page_query, read_form
from manager.dashboard.job_pages import JOBS, JobPages, JobReader
from manager.dashboard.live_pages import NAMES, LivePages
from manager.dashboard.rendering import Pages, static_files
from manager.dashboard.sampler import Sampler
from manager.dashboard.sign_in import SignInRoutes
from manager.dashboard.stream import EventStream
from manager.http.authentication import ApiKeyAuth, caller_of
from manager.http.dashboard_paths import HOME, PREFIX, SIGN_IN, SIGN_OUT, STREAM
from manager.queue.connection import QueueConnection
from manager.routes.jobs import JobRoutes
from manager.routes.queues import QueueRoutes

_YEAR_SECONDS = 365 * 24 * 3600
_PAGE_QUERY = page_query()

Handler = Callable[[Request], Awaitable[Response]]


class Dashboard:
    """The dashboard of one manager.

    Args:
        keys: tells whether the key of an open page is still valid.
        root_path: prefix of all paths, under which a proxy makes the manager available.
        price_per_hour: of an instance; 0 if it is not known.
        reader: reads lists of jobs.
        queue_routes, job_routes: what buttons do is what these routes of the API do.
    """

    def __init__(
        self,
        queue: QueueConnection,
        attention: Attention,
        auth: ApiKeyAuth,
        keys: KeyTable,
        *,
        pages: Pages,
        root_path: str,
        price_per_hour: float,
        reader: JobReader,
        queue_routes: QueueRoutes,
        job_routes: JobRoutes,
    ) -> None:
        self._pages = pages
        self._sampler = Sampler(queue)
        self._live_pages = LivePages(pages, attention, price_per_hour)
        self._stream = EventStream(self._sampler, self._live_pages, keys, queue.closing)
        self._sign_in = SignInRoutes(auth, pages, root_path)
        self._queue_routes = queue_routes
        self._job_pages = JobPages(pages, self._sampler, reader, job_routes)

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(include_in_schema=False)
        for name in NAMES:
            router.add_api_route(HOME if name == "overview" else f"{PREFIX}{name}", self._live_page(name))
        router.add_api_route(STREAM, self._stream.show)
        router.add_api_route(SIGN_IN, self._sign_in.show)
        router.add_api_route(SIGN_IN, self._sign_in.sign_in, methods=["POST"])
        router.add_api_route(SIGN_OUT, self._sign_in.sign_out, methods=["POST"])
        for path, (content, media_type) in static_files().items():
            router.add_api_route(path, _show_file(content, media_type))
        for verb, handler, done in (
            ("pause", self._queue_routes.pause, "paused"),
            ("resume", self._queue_routes.resume, "resumed"),
        ):
            path = f"{PREFIX}queues/{{name:path}}/{verb}"
            router.add_api_route(path, self._action(handler, f"{PREFIX}queues", done), methods=["POST"])
        router.add_api_route(JOBS, self._job_pages.list)
        router.add_api_route(f"{JOBS}/{{job_id}}", self._job_pages.show)
        for verb, change in (
            ("cancel", self._job_pages.cancel),
            ("requeue", self._job_pages.requeue),
            ("delete", self._job_pages.delete),
        ):
            router.add_api_route(f"{JOBS}/{{job_id}}/{verb}", change, methods=["POST"])
        return router

    async def stop(self) -> None:
        """Stop reading the queue."""
        await self._sampler.stop()

    def _live_page(self, name: str) -> Handler:
        async def show(request: Request) -> Response:
            query = _PAGE_QUERY.parse(request.scope["query_string"])
            caller, sample = caller_of(request.scope), await self._sampler.current()
            values = self._live_pages.values(name, sample, caller)
            notice = notice_of(query["done"], query["n"])
            return self._pages.page(f"{name}.html", caller, here=request.scope["path"], notice=notice, **values)

        return show

    def _action(self, change: Handler, page: str, done: str) -> Handler:
        """Return the handler of a button: a route of the API makes the change, and the browser goes back to a page."""

        async def act(request: Request) -> Response:
            form = await read_form(request)
            await change(request)
            await self._sampler.current(changed=True)
            return go_to(own_page(form.get("back", page), page), done)

        return act


def _show_file(content: bytes, media_type: str) -> Handler:
    async def show(request: Request) -> Response:
        # Pages name it with its version.
        headers = {"Cache-Control": f"public, max-age={_YEAR_SECONDS}, immutable"}
        return Response(content, headers=headers, media_type=media_type)

    return show
