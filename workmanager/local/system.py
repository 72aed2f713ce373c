"""The whole system on one machine: Valkey or a Valkey cluster, and the managers, which start the workers."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from processes.liveness_pipe import LivenessPipe
from processes.settings_file import with_settings_file
from workmanager.errors import ServerError, UsageError
from workmanager.local import ports
from workmanager.local.data_directory import DataDirectory
from workmanager.local.readiness import HOST, why_not_ready
from workmanager.local.server_restarts import ServerRestarts
from workmanager.local.supervised_process import SupervisedProcess
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster
from workmanager.store_settings import RESTART_SECONDS

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
READY_POLL_SECONDS = 0.02
SLOW_POLL_SECONDS = 0.5
READY_TIMEOUT_SECONDS = 60.0
USUAL_START_SECONDS = 4.0
"""After it, managers are asked less often: each request is a line of their log."""
DRAIN_TIMEOUT_SECONDS = 60.0
"""Longer than a worker's own grace period."""
IMMEDIATE_STOP_SECONDS = 5.0
REDIS_MEMORY_SHARE = 0.5
"""The part of this machine's memory that all embedded servers together may use."""
REFUSED_SETTINGS_EXIT_CODE = 2


@dataclass(frozen=True, slots=True)
class LocalSystemConfig:
    """What to start. With `redis_url`, an existing Redis is used instead of an embedded one in `data_dir`."""

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
    """A system to `start`, `supervise` and `stop`, in this order."""

    def __init__(
        self, config: LocalSystemConfig, *, stop_requested: Callable[[], bool], stop_immediately: Callable[[], bool]
    ) -> None:
        """Check the ports and lock the data directory; start nothing yet.

        Args:
            config: what to start.
            stop_requested: whether the user wants the system to end.
            stop_immediately: whether the user will not wait for an orderly end.

        Raises:
            UsageError: a port or the data directory is in use.
        """
        for port in config.ports:
            if not ports.is_free(port, HOST):
                raise UsageError(f"port {port} is in use; choose another with --port")
        self._config = config
        self._stop_requested = stop_requested
        self._stop_immediately = stop_immediately
        self._resources = ExitStack()
        self._redis: ValkeyServer | ValkeyCluster | None = None
        if config.redis_url is None:
            self._redis = self._embedded_redis()
        self._server_restarts = self._restarts_of(self._redis)
        self._managers: list[SupervisedProcess] = []
        self._liveness_pipe = LivenessPipe()

    def start(self) -> bool:
        """Start everything. Return True when every manager is ready; False if the user stopped the system before.

        Raises:
            UsageError, ServerError: a part did not start.
        """
        if self._redis is not None:
            self._redis.start()
        redis_url = self._config.redis_url or (self._redis.url if self._redis else "")
        self._managers = [self._manager(port, redis_url) for port in self._config.ports]
        for manager in self._managers:
            manager.start(time.monotonic())
        return self._wait_until_ready()

    def supervise(self) -> None:
        """Restart servers and managers that end by themselves, until the user stops the system."""
        while not self._stop_requested():
            time.sleep(POLL_SECONDS)
            for manager in self._managers:
                manager.restart_if_due(time.monotonic())
            if self._server_restarts is not None:
                self._server_restarts.restart_if_due()

    def stop(self) -> None:
        """End the managers, which drain their workers; then the remaining workers; then the Redis servers."""
        for manager in self._managers:
            manager.terminate()
        self._wait(lambda: all(manager.exit_code is not None for manager in self._managers), DRAIN_TIMEOUT_SECONDS)
        for manager in self._managers:
            if manager.exit_code is None:
                log.warning("event=program_killed name=%s", manager.name)
                manager.kill()
        self._liveness_pipe.close_write_end()
        if not self._wait(lambda: self._liveness_pipe.wait_until_children_exit(0), DRAIN_TIMEOUT_SECONDS):
            log.error("event=workers_still_running reason=did_not_end_in_time")
        self._liveness_pipe.close()
        if self._redis is not None:
            self._redis.stop()
        self._resources.close()

    def _embedded_redis(self) -> ValkeyServer | ValkeyCluster:
        directory = DataDirectory(self._config.data_dir, "cluster" if self._config.cluster else "single")
        self._resources.enter_context(directory)
        servers = 6 if self._config.cluster else 1
        settings = {"maxmemory": str(int(_memory_bytes() * REDIS_MEMORY_SHARE / servers))}
        server_class = ValkeyCluster if self._config.cluster else ValkeyServer
        return server_class(directory.servers_directory, settings=settings, inherited_fds=[directory.lock_fd])

    def _manager(self, port: int, redis_url: str) -> SupervisedProcess:
        # Also for the workers, which inherit it: on this machine, functions are being written.
        environ = dict(os.environ)
        if "WORKMANAGER_RELOAD_FUNCTIONS" not in with_settings_file(environ):
            environ["WORKMANAGER_RELOAD_FUNCTIONS"] = "true"
        # The URL can contain a password, and every user of the machine can read command lines.
        environ["WORKMANAGER_REDIS_URL"] = redis_url
        if self._config.max_workers is not None:
            environ["WORKMANAGER_MAX_WORKERS"] = str(self._config.max_workers)
        if isinstance(self._redis, ValkeyCluster):
            environ["WORKMANAGER_CLUSTER_HOSTS"] = self._redis.hosts
        options = {
            "--host": HOST,
            "--port": str(port),
            "--scaler": "local",
            "--parent-fd": str(self._liveness_pipe.fd),
        }
        command = [sys.executable, "-m", "manager", *(word for pair in options.items() for word in pair)]
        return SupervisedProcess(f"manager:{port}", command, environ=environ, inherited_fds=[self._liveness_pipe.fd])

    def _wait_until_ready(self) -> bool:
        waiting = dict.fromkeys(self._config.ports, "")
        """Managers that are not ready, by port, and why not."""

        def all_ready() -> bool:
            for manager in self._managers:
                if manager.exit_code == REFUSED_SETTINGS_EXIT_CODE:
                    raise UsageError(f"{manager.name} refused its settings (see above)")
                if manager.exit_code is not None:
                    raise ServerError(f"{manager.name} exited at its start with code {manager.exit_code} (see above)")
            for port in list(waiting):
                if (reason := why_not_ready(port)) is None:
                    del waiting[port]
                else:
                    waiting[port] = reason
            return not waiting

        began = time.monotonic()
        while not all_ready():
            if self._stop_requested():
                return False
            waited_seconds = time.monotonic() - began
            if waited_seconds > READY_TIMEOUT_SECONDS:
                not_ready = "; ".join(f"http://{HOST}:{port}: {reason}" for port, reason in waiting.items())
                raise ServerError(f"not ready after {READY_TIMEOUT_SECONDS:.0f} s: {not_ready} (see the log above)")
            time.sleep(READY_POLL_SECONDS if waited_seconds < USUAL_START_SECONDS else SLOW_POLL_SECONDS)
        return True

    def _restarts_of(self, redis: ValkeyServer | ValkeyCluster | None) -> ServerRestarts | None:
        match redis:
            case ValkeyCluster() as cluster:
                return ServerRestarts(cluster.servers, RESTART_SECONDS, partial(_is_served_elsewhere, cluster))
            case ValkeyServer() as server:
                return ServerRestarts([server], 0)
            case None:
                return None

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether the condition came true in time; the user can shorten the time to `IMMEDIATE_STOP_SECONDS`."""
        deadline = time.monotonic() + seconds
        is_shortened = False
        while not condition():
            now = time.monotonic()
            if self._stop_immediately() and not is_shortened:
                deadline, is_shortened = min(deadline, now + IMMEDIATE_STOP_SECONDS), True
            if now > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def _is_served_elsewhere(cluster: ValkeyCluster, server: ValkeyServer) -> bool:
    """Return whether another member of the cluster serves the slots of this one."""
    environ = {**os.environ, "WORKMANAGER_REDIS_URL": cluster.url, "WORKMANAGER_CLUSTER_HOSTS": cluster.hosts}
    command = [sys.executable, "-m", "manager.cluster", "--served-elsewhere", f"{HOST}:{server.port}"]
    # Its log would repeat that the server is down.
    return subprocess.run(command, env=environ, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
