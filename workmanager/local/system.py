"""The whole system on one machine: Valkey, or a cluster of it, and the managers, which start the workers."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from processes.liveness_pipe import LivenessPipe
from workmanager import store_settings
from workmanager.errors import ServerError, UsageError
from workmanager.local import ports
from workmanager.local.data_directory import DataDirectory, RedisMode
from workmanager.local.supervised_process import SupervisedProcess
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_POLL_SECONDS = 0.1
_READY_SECONDS = 60.0
_DRAIN_SECONDS = 60.0  # longer than a worker's own grace period
_HURRY_SECONDS = 5.0
_STORE_SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True, slots=True)
class LocalSystemConfig:
    """What to start. `redis_url`: an existing server instead of an embedded one over `data_dir`."""

    first_port: int
    managers: int
    max_workers: int | None
    cluster: bool
    redis_url: str | None
    data_dir: Path

    @property
    def ports(self) -> range:
        return range(self.first_port, self.first_port + self.managers)

    @property
    def urls(self) -> list[str]:
        return [f"http://{HOST}:{port}" for port in self.ports]


class LocalSystem:
    """Started, kept running and ended, in that order; `stopping` says that the user wants it to end."""

    def __init__(
        self, config: LocalSystemConfig, *, stop_requested: Callable[[], bool], stop_immediately: Callable[[], bool]
    ) -> None:
        """`hurrying`: the user will not wait for an orderly end.

        Raises:
            UsageError: a port or the data directory is in use.
        """
        for port in config.ports:
            if not ports.is_free(port, HOST):
                raise UsageError(f"port {port} is in use; choose another with --port")
        self._plan = config
        self._stopping = stop_requested
        self._hurrying = stop_immediately
        self._resources = ExitStack()
        self._store: ValkeyServer | ValkeyCluster | None = None
        if config.redis_url is None:
            self._store = self._embedded_store()
        self._ended_at: dict[ValkeyServer, float] = {}
        self._managers: list[SupervisedProcess] = []
        self._liveness_pipe = LivenessPipe()

    def start(self) -> bool:
        """Starts all and returns when every manager is ready; False when the user ended it before.

        Raises:
            UsageError, ServerError: a part did not start.
        """
        if self._store is not None:
            self._store.start()
        redis_url = self._plan.redis_url or (self._store.url if self._store else "")
        self._managers = [self._manager(port, redis_url) for port in self._plan.ports]
        for manager in self._managers:
            manager.start(time.monotonic())
        return self._wait_until_ready()

    def supervise(self) -> None:
        """Starts again what ended by itself, until the user ends the system."""
        while not self._stopping():
            time.sleep(_POLL_SECONDS)
            for manager in self._managers:
                manager.restart_if_due(time.monotonic())
            if self._store is not None:
                self._keep_store(self._store)

    def stop(self) -> None:
        """Ends the managers, which drain their workers; then what is left of those; then the servers."""
        for manager in self._managers:
            manager.terminate()
        self._wait(lambda: all(manager.exit_code is not None for manager in self._managers), _DRAIN_SECONDS)
        for manager in self._managers:
            if manager.exit_code is None:
                log.warning("event=program_killed name=%s", manager.name)
                manager.kill()
        self._liveness_pipe.close_write_end()
        if not self._wait(lambda: self._liveness_pipe.wait_until_children_exit(0), _DRAIN_SECONDS):
            log.error("event=workers_still_running reason=did_not_end_in_time")
        self._liveness_pipe.close()
        if self._store is not None:
            self._store.stop()
        self._resources.close()

    def _embedded_store(self) -> ValkeyServer | ValkeyCluster:
        kind: RedisMode = "cluster" if self._plan.cluster else "single"
        directory = self._resources.enter_context(DataDirectory(self._plan.data_dir, kind))
        servers = 6 if self._plan.cluster else 1
        settings = {"maxmemory": str(int(_memory_bytes() * _STORE_SHARE_OF_MEMORY / servers))}
        store = ValkeyCluster if self._plan.cluster else ValkeyServer
        return store(directory.servers_directory, settings=settings, inherited_fds=[directory.lock_fd])

    def _manager(self, port: int, redis_url: str) -> SupervisedProcess:
        environ = dict(os.environ)
        if self._plan.max_workers is not None:
            environ["WORKMANAGER_MAX_WORKERS"] = str(self._plan.max_workers)
        if isinstance(self._store, ValkeyCluster):
            environ["WORKMANAGER_CLUSTER_HOSTS"] = self._store.hosts
        options = {
            "--host": HOST,
            "--port": str(port),
            "--redis-url": redis_url,
            "--scaler": "local",
            "--parent-fd": str(self._liveness_pipe.fd),
        }
        command = [sys.executable, "-m", "manager", *(word for pair in options.items() for word in pair)]
        return SupervisedProcess(f"manager:{port}", command, environ=environ, inherited_fds=[self._liveness_pipe.fd])

    def _wait_until_ready(self) -> bool:
        waiting = set(self._plan.urls)

        def all_ready() -> bool:
            for manager in self._managers:
                if manager.exit_code == 2:
                    raise UsageError(f"{manager.name} refused its settings (see above)")
                if manager.exit_code is not None:
                    raise ServerError(f"{manager.name} ended at its start with {manager.exit_code} (see above)")
            waiting.difference_update([url for url in waiting if _is_ready(url)])
            return not waiting

        deadline = time.monotonic() + _READY_SECONDS
        while not all_ready():
            if self._stopping():
                return False
            if time.monotonic() > deadline:
                raise ServerError(f"not ready after {_READY_SECONDS:.0f} s: {' '.join(sorted(waiting))}")
            time.sleep(_POLL_SECONDS)
        return True

    def _keep_store(self, store: ValkeyServer | ValkeyCluster) -> None:
        servers = store.servers if isinstance(store, ValkeyCluster) else (store,)
        pause_seconds = store_settings.RESTART_SECONDS if isinstance(store, ValkeyCluster) else 0
        now = time.monotonic()
        for server in servers:
            if server.pid is not None:
                continue
            if server not in self._ended_at:
                self._ended_at[server] = now
                log.warning("event=valkey_exited port=%d restart_in_seconds=%d", server.port, pause_seconds)
            if now - self._ended_at[server] < pause_seconds:
                continue
            try:
                server.start()
                del self._ended_at[server]
            except ServerError:
                log.exception("event=valkey_restart_failed port=%d", server.port)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        hurry_deadline: float | None = None
        while not condition():
            now = time.monotonic()
            if self._hurrying() and hurry_deadline is None:
                hurry_deadline = now + _HURRY_SECONDS
            if now > min(deadline, hurry_deadline or deadline):
                return False
            time.sleep(_POLL_SECONDS)
        return True


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
