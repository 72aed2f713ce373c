"""Restart embedded servers that end by themselves; empty, if they cannot read their data and another one has them."""

import logging
import time
from collections.abc import Callable, Sequence

from workmanager.append_only.set_aside import set_aside
from workmanager.errors import ServerError, UnreadableFile
from workmanager.local.valkey import ValkeyServer

RETRY_SECONDS = 2.0
"""Pause between two tries to restart a server."""
UNREADABLE_RETRY_SECONDS = 10.0
"""The same if it cannot read its data, which is then checked each time."""

log = logging.getLogger(__name__)


class ServerRestarts:
    """Restarts servers of this machine.

    Args:
        pause_seconds: how long a server stays down at least.
        is_served_elsewhere: whether another server has what this one should have, and serves it.
    """

    def __init__(
        self,
        servers: Sequence[ValkeyServer],
        pause_seconds: float,
        is_served_elsewhere: Callable[[ValkeyServer], bool] = lambda _: False,
    ) -> None:
        self._servers = servers
        self._pause_seconds = pause_seconds
        self._is_served_elsewhere = is_served_elsewhere
        self._exited_at: dict[ValkeyServer, float] = {}
        self._retry_at: dict[ValkeyServer, float] = {}

    def restart_if_due(self) -> None:
        """Restart the servers that have ended long enough ago. Call this often."""
        now = time.monotonic()
        for server in self._servers:
            if server.pid is not None:
                continue
            if server not in self._exited_at:
                self._exited_at[server] = now
                log.warning("event=valkey_exited port=%d restart_in_seconds=%d", server.port, self._pause_seconds)
            if now - self._exited_at[server] >= self._pause_seconds and now >= self._retry_at.get(server, 0.0):
                self._restart(server)

    def _restart(self, server: ValkeyServer) -> None:
        try:
            server.start()
        except ServerError as error:
            is_unreadable = isinstance(error, UnreadableFile)
            if is_unreadable and self._is_served_elsewhere(server) and _set_aside(server):
                return  # it is started again at once
            if server not in self._retry_at:  # logged once; the server logs when it is ready
                log.error("event=valkey_restart_failed port=%d error=%s", server.port, error)
            pause_seconds = UNREADABLE_RETRY_SECONDS if is_unreadable else RETRY_SECONDS
            self._retry_at[server] = time.monotonic() + pause_seconds
        else:
            del self._exited_at[server]
            self._retry_at.pop(server, None)


def _set_aside(server: ValkeyServer) -> bool:
    try:
        set_aside(server.directory)
    except OSError as error:
        log.error("event=append_only_set_aside_failed directory=%s error=%s", server.directory, error)
        return False
    return True
