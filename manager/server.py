"""The manager's process: listen, connect to Redis, serve HTTP until a stop signal, and shut down in order."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from jobqueue.functions import FunctionRegistry
from jobqueue.servers.login import Login
from jobqueue.servers.topology import Topology
from jobqueue.servers.url import parse_redis_url
from jobqueue.sharding.shards import Shards
from manager.api_keys.table import KeyTable
from manager.app import build_app
from manager.cluster.function_loader import FunctionLoader
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import parse_hosts
from manager.http.access_log import AccessLog
from manager.http.connection_limit import ConnectionLimit
from manager.http.listener import BACKLOG, raise_descriptor_limit
from manager.http.uvicorn_protocol import ManagerHttpProtocol
from manager.jwt.issuer import Issuer
from manager.main_duties import MainDuties
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.reporter import Reporter
from manager.settings import ManagerSettings
from manager.siblings.group import ProcessGroup
from processes.garbage_collection import relax_garbage_collection
from processes.liveness_pipe import parent_is_gone
from processes.log_collector import LogCollector
from processes.logs import JSON
from processes.tracing.setup import open_tracing

if TYPE_CHECKING:
    from manager.jwt.code_flow import CodeFlow
    from manager.jwt.verifier import JwtVerifier

FIRST_LOAD_SECONDS = 5.0
"""How long a manager waits for the functions that its users call before it connects to the queue."""
SHUTDOWN_GRACE_SECONDS = 15
"""How long running requests get at shutdown; longer than any call to Redis takes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The command-line options.

    Attributes:
        scaler: the fleet that launches workers: `ec2`, `local` or `none`.
        parent_fd: a liveness pipe; when the other end closes, the manager and the workers it launched stop.
    """

    host: str
    port: int
    scaler: str
    parent_fd: int | None


class _Server(uvicorn.Server):
    """Leaves signals to `ManagerServer`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ManagerServer:
    """One manager, from start to shutdown.

    Args:
        listener: the socket to serve on.
        group: this manager's processes. A sibling serves requests alone: all other duties are the main process's.
    """

    def __init__(
        self,
        options: ServerOptions,
        settings: ManagerSettings,
        functions: FunctionRegistry,
        listener: socket.socket,
        collector: LogCollector | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        self._group = group or ProcessGroup()
        self._group.on_main_gone = partial(self._stop, "main_process_gone")
        self._options = options
        self._settings = settings
        self._functions = functions
        self._listener = listener
        self._metrics = Metrics(collector)
        self._tracing = open_tracing(settings.traces, "workmanager-manager")
        self._reporter = Reporter()
        self._key_table = KeyTable()
        self._jwt, self._code_flow = _build_tokens(settings)
        self._queue = QueueConnection(
            settings.redis_url,
            settings.lease_seconds,
            on_connected=self._on_connected,
            managed_queues=settings.queues,
            launches_workers=options.scaler != "none",
            on_jobs_waiting=self._on_jobs_waiting,
            on_fatal_error=self._fail,
            require_cluster=bool(settings.cluster_hosts),
            keeps_files=not settings.cluster_hosts and not self._group.is_sibling,
            maintains=not self._group.is_sibling,
        )
        self._access_log = None
        if settings.access_log:
            self._access_log = AccessLog(sys.stderr, as_json=settings.log_format == JSON, collector=collector)
        self._reconciler: ClusterReconciler | None = None
        if settings.cluster_hosts and not self._group.is_sibling:
            url = parse_redis_url(settings.cluster_url or settings.redis_url)
            login = Login(url.user, "WORKMANAGER_CLUSTER_URL", "administrator")
            self._reconciler = ClusterReconciler(parse_hosts(settings.cluster_hosts), url.connect, login)
        self._function_loader: FunctionLoader | None = None
        if settings.cluster_url and not self._group.is_sibling:
            administered = Topology(
                settings.cluster_url,
                require_cluster=bool(settings.cluster_hosts),
                setting="WORKMANAGER_CLUSTER_URL",
                role="administrator",
            )
            self._function_loader = FunctionLoader(administered)
        max_connections = max(1, settings.max_connections // self._group.size)
        self._connection_limit = ConnectionLimit(raise_descriptor_limit(max_connections))
        app, self._dashboard = build_app(
            settings,
            functions,
            self._queue,
            self._metrics,
            self._reporter,
            self._access_log,
            self._reconciler,
            self._key_table,
            self._jwt,
            self._code_flow,
            self._tracing,
            self._group,
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                # uvicorn calls it like the class.
                http=partial(ManagerHttpProtocol, limit=self._connection_limit),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                root_path=settings.root_path,
                timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
                backlog=BACKLOG,
            )
        )
        self._duties: MainDuties | None = None
        if not self._group.is_sibling:
            self._duties = MainDuties(
                *(settings, functions, self._queue, self._metrics, self._reporter, self._tracing),
                address=self._address,
                scaler=options.scaler,
                parent_fd=options.parent_fd,
            )
        self._exit_code = 0

    async def run(self) -> int:
        """Serve until a stop signal or the end of the parent process; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, signal.Signals(number).name)
        if self._options.parent_fd is not None:
            loop.add_reader(self._options.parent_fd, self._check_parent, self._options.parent_fd)
        host, port = self._listener.getsockname()[:2]
        log.info(
            "event=manager_listening host=%s port=%d pid=%d max_connections=%d",
            *(host, port, os.getpid(), self._connection_limit.limit),
        )
        await self._group.start()
        if self._reconciler is not None:
            self._reconciler.start()
        if self._function_loader is not None:
            await self._function_loader.start(FIRST_LOAD_SECONDS)
        if self._jwt is not None:
            self._jwt.start()
        self._queue.start()
        relax_garbage_collection()
        await self._server.serve(sockets=[self._listener])
        if self._access_log is not None:
            self._access_log.flush()
        if self._duties is not None:
            await self._duties.stop()
        await self._dashboard.stop()
        await self._key_table.stop()
        if self._jwt is not None:
            await self._jwt.stop()
        if self._code_flow is not None:
            await self._code_flow.stop()
        await self._queue.close()
        if self._reconciler is not None:
            await self._reconciler.stop()
        if self._function_loader is not None:
            await self._function_loader.stop()
        if self._tracing is not None:
            self._tracing.close()
        await self._group.close()
        log.info("event=manager_stopped exit_code=%d", self._exit_code)
        return self._exit_code

    def _stop(self, reason: str) -> None:
        if not self._server.should_exit:
            log.info("event=manager_stopping reason=%s", reason)
        self._group.stop_others()
        self._queue.closing.set()
        self._server.should_exit = True

    def _check_parent(self, fd: int) -> None:
        if parent_is_gone(fd):
            asyncio.get_running_loop().remove_reader(fd)
            self._stop("parent_gone")

    def _fail(self, reason: str, exit_code: int) -> None:
        sys.stderr.write(f"{reason}\n")
        self._exit_code = exit_code
        self._stop("failure")

    async def _on_connected(self, shards: Shards) -> None:
        if self._settings.api_keys:
            self._key_table.start(shards.all[0])
        if self._duties is not None:
            self._duties.start(shards)

    @property
    def _address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
        return f"{host}:{port}"

    def _on_jobs_waiting(self) -> None:
        if self._duties is not None:
            self._duties.wake_scaler()


def _build_tokens(settings: ManagerSettings) -> "tuple[JwtVerifier | None, CodeFlow | None]":
    """Return what verifies the tokens of the issuer, and what signs people in there, if the settings say so."""
    issuer = Issuer.from_settings(settings)
    if issuer is None:
        return None, None
    from manager.jwt.verifier import JwtVerifier  # Here, because other managers start without joserfc.

    verifier = JwtVerifier(issuer)
    if not issuer.client_id:
        return verifier, None
    from manager.jwt.code_flow import CodeFlow

    return verifier, CodeFlow(issuer, verifier)
