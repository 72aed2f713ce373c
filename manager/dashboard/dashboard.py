"""Puts the dashboard together: its pages, its stream, and what its buttons do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from manager.api_keys.table import KeyTable
from manager.dashboard.api import Api, Handler, ask
from manager.dashboard.attention import Attention
from manager.dashboard.document_pages import DocumentPages
from manager.dashboard.failure_pages import FailurePages
from manager.dashboard.forms import go_to, notice_of, page_query, read_form
from manager.dashboard.issuer_sign_in import IssuerSignInRoutes
from manager.dashboard.job_pages import JobPages, JobReader
from manager.dashboard.live_pages import NAMES, LivePages, path_of
from manager.dashboard.rendering import Pages, page_address, static_files
from manager.dashboard.sampler import Sampler
from manager.dashboard.sign_in import SignInRoutes
from manager.dashboard.stream import EventStream
from manager.dashboard.views.queues import queues_page
from manager.http.authentication import ApiKeyAuth, caller_of
from manager.http.dashboard_paths import (
    AUDIT,
    CALLBACKS,
    FAILURES,
    ISSUER_CALLBACK,
    ISSUER_SIGN_IN,
    JOBS,
    KEYS,
    LIMITS,
    QUEUES,
    SCALER,
    SCHEDULES,
    SIGN_IN,
    SIGN_OUT,
    STREAM,
    WORKERS,
    WORKFLOWS,
)
from manager.http.query_parameters import Text
from manager.queue.connection import QueueConnection
from manager.queue.watched_servers import WatchedServers

if TYPE_CHECKING:
    # Managers without an issuer start without joserfc.
    from manager.jwt.code_flow import CodeFlow

_YEAR_SECONDS = 365 * 24 * 3600
_PAGE_QUERY = page_query()
_QUEUES_QUERY = page_query(Text("name", "What the names have", r"[^\x00-\x1f\x7f]{0,256}"))


class Dashboard:
    """The dashboard of one manager.

    Args:
        keys: tells whether the key of an open page is still valid.
        root_path: prefix of all paths, under which a proxy makes the manager available.
        price_per_hour: of an instance; 0 if it is not known.
        reader: reads lists of jobs.
        api: what pages show and buttons do is what these routes show and do.
        code_flow: signs people in at an issuer; None if there is none.
    """

    def __init__(
        self,
        queue: QueueConnection,
        servers: WatchedServers,
        attention: Attention,
        auth: ApiKeyAuth,
        keys: KeyTable,
        *,
        pages: Pages,
        root_path: str,
        price_per_hour: float,
        reader: JobReader,
        api: Api,
        code_flow: "CodeFlow | None",
    ) -> None:
        self._pages = pages
        self._sampler = Sampler(queue, servers)
        self._live_pages = LivePages(pages, attention, price_per_hour)
        self._stream = EventStream(self._sampler, self._live_pages, keys, queue.closing)
        self._sign_in = SignInRoutes(auth, pages, root_path, None if code_flow is None else code_flow.issuer.host)
        self._issuer_sign_in = IssuerSignInRoutes(code_flow, auth, pages, self._sign_in, root_path)
        self._api = api
        self._job_pages = JobPages(pages, self._sampler, reader, api)
        self._failure_pages = FailurePages(pages, self._sampler, reader)
        self._document_pages = DocumentPages(pages, self._sampler, api, price_per_hour)

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(include_in_schema=False)
        for path, handler in self._pages_by_path().items():
            router.add_api_route(path, handler)
        for path, handler in self._buttons_by_path().items():
            router.add_api_route(path, handler, methods=["POST"])
        for path, (content, media_type) in static_files().items():
            router.add_api_route(path, _show_file(content, media_type))
        return router

    def _pages_by_path(self) -> Mapping[str, Handler]:
        documents = self._document_pages
        return {
            **{path_of(name): self._live_page(name) for name in NAMES},
            QUEUES: self._show_queues,
            STREAM: self._stream.show,
            SIGN_IN: self._sign_in.show,
            ISSUER_CALLBACK: self._issuer_sign_in.finish,
            JOBS: self._job_pages.list,
            f"{JOBS}/{{job_id}}": self._job_pages.show,
            FAILURES: self._failure_pages.show,
            SCALER: documents.scaler,
            SCHEDULES: documents.schedules,
            f"{SCHEDULES}/{{name}}": documents.schedule,
            WORKFLOWS: documents.workflows,
            f"{WORKFLOWS}/{{workflow_id}}": documents.workflow,
            CALLBACKS: documents.callbacks,
            LIMITS: documents.limits,
            KEYS: documents.keys,
            AUDIT: documents.audit,
        }

    def _buttons_by_path(self) -> Mapping[str, Handler]:
        jobs, documents = self._job_pages, self._document_pages
        return {
            SIGN_IN: self._sign_in.sign_in,
            ISSUER_SIGN_IN: self._issuer_sign_in.begin,
            SIGN_OUT: self._sign_in.sign_out,
            f"{QUEUES}/{{name:path}}/pause": self._button(self._api.queues.pause, QUEUES, "paused"),
            f"{QUEUES}/{{name:path}}/resume": self._button(self._api.queues.resume, QUEUES, "resumed"),
            f"{QUEUES}/{{name:path}}/requeue-failed": self._requeue_failed,
            f"{WORKERS}/{{name:path}}/drain": self._button(self._api.workers.drain, WORKERS, "draining"),
            f"{JOBS}/{{job_id}}/cancel": jobs.cancel,
            f"{JOBS}/{{job_id}}/requeue": jobs.requeue,
            f"{JOBS}/{{job_id}}/delete": jobs.delete,
            f"{FAILURES}/requeue": self._failure_pages.requeue,
            f"{FAILURES}/delete": self._failure_pages.delete,
            f"{SCALER}/pause": documents.pause_scaler,
            f"{SCALER}/resume": documents.resume_scaler,
            f"{SCALER}/limits": documents.limit_scaler,
            f"{SCHEDULES}/{{name}}/pause": documents.pause_schedule,
            f"{SCHEDULES}/{{name}}/resume": documents.resume_schedule,
            f"{SCHEDULES}/{{name}}/trigger": documents.trigger_schedule,
            f"{SCHEDULES}/{{name}}/delete": documents.delete_schedule,
            f"{WORKFLOWS}/{{workflow_id}}/cancel": documents.cancel_workflow,
            f"{WORKFLOWS}/{{workflow_id}}/retry": documents.retry_workflow,
            f"{CALLBACKS}/replay": documents.replay_callbacks,
            f"{CALLBACKS}/{{callback_id}}/retry": documents.retry_callback,
            LIMITS: documents.set_limit,
            f"{KEYS}/{{key_id}}/revoke": documents.revoke_key,
        }

    async def stop(self) -> None:
        """Stop reading the queue."""
        await self._sampler.stop()

    def _live_page(self, name: str) -> Handler:
        async def show(request: Request) -> Response:
            query = _PAGE_QUERY.parse(request.scope["query_string"])
            caller = caller_of(request.scope)
            sample = await self._sampler.current(changed=query["done"] is not None)
            values = self._live_pages.values(name, sample, caller)
            notice = notice_of(query["done"], query["n"])
            return self._pages.page(f"{name}.html", caller, here=request.scope["path"], notice=notice, **values)

        return show

    async def _show_queues(self, request: Request) -> Response:
        query = _QUEUES_QUERY.parse(request.scope["query_string"])
        caller, sample = caller_of(request.scope), await self._sampler.current(changed=query["done"] is not None)
        notice = notice_of(query["done"], query["n"])
        page = queues_page(sample, caller, query["name"] or "")
        return self._pages.page("queues.html", caller, here=QUEUES, notice=notice, page=page)

    async def _requeue_failed(self, request: Request) -> Response:
        await read_form(request)
        answer = await ask(self._api.queues.requeue_failed, request)
        page = page_address(FAILURES, queue=request.path_params["name"])
        return go_to(page, "requeued-jobs", answer["requeued"])

    def _button(self, change: Handler, page: str, done: str) -> Handler:
        async def act(request: Request) -> Response:
            await read_form(request)
            await change(request)
            return go_to(page, done)

        return act


def _show_file(content: bytes, media_type: str) -> Handler:
    async def show(request: Request) -> Response:
        # Pages name it with its version.
        headers = {"Cache-Control": f"public, max-age={_YEAR_SECONDS}, immutable"}
        return Response(content, headers=headers, media_type=media_type)

    return show
