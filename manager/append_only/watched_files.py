"""The append-only files of several servers: what is wrong with which, logged when it begins and ends."""

import logging
from collections.abc import Collection, Mapping

from jobqueue.backoff import Outage
from manager.append_only.file_state import AppendOnlyState
from manager.append_only.file_watch import FileWatch

log = logging.getLogger(__name__)


class WatchedFiles:
    """A `FileWatch` for each server. Servers are named by address, `host:port`."""

    def __init__(self) -> None:
        self._watches: dict[str, FileWatch] = {}
        self._outages: dict[str, Outage] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """Why the file of a server is not sound, for each server whose file is not."""
        return {server: watch.problem for server, watch in sorted(self._watches.items()) if watch.problem is not None}

    def look(self, server: str, state: AppendOnlyState | None, now: float) -> bool:
        """Take a look at a server into account; return whether to ask it for a rewrite now (`BGREWRITEAOF`)."""
        watch = self._watches.setdefault(server, FileWatch())
        asks = watch.look(state, now)
        outage = self._outages.setdefault(server, Outage())
        if watch.problem is not None:
            if outage.begin():
                log.error("event=append_only_file_unsound server=%s reason=%r", server, watch.problem)
        elif (seconds := outage.end()) is not None:
            log.info("event=append_only_file_sound server=%s after_seconds=%.1f", server, seconds)
        return asks

    def keep_only(self, servers: Collection[str]) -> None:
        """Forget all other servers."""
        for server in self._watches.keys() - servers:
            del self._watches[server], self._outages[server]
