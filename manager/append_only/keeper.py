"""Watch the append-only files of the Redis servers that hold the queue, where no reconciler administers them."""

import asyncio
import logging
import time
from collections.abc import Mapping

from redis.exceptions import RedisError

from jobqueue.backoff import Outage
from jobqueue.servers.connection_pool import ServerPool, parse_info
from jobqueue.servers.topology import Topology
from jobqueue.servers.unreachable import ServerUnreachable
from manager.append_only.file_state import SECTIONS, AppendOnlyState
from manager.append_only.watched_files import WatchedFiles

LOOK_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 1.0

log = logging.getLogger(__name__)


class AppendOnlyKeeper:
    """Looks at every master's INFO once a second, and asks for a rewrite after each error."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._files = WatchedFiles()
        self._refusals: dict[str, Outage] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """Why the file of a server is not sound, for each server whose file is not."""
        return self._files.problems

    async def run(self) -> None:
        """Watch until cancelled."""
        crash = Outage()
        while True:
            try:
                await self.look()
                crash.end()
            except Exception as error:  # The loop's edge: an unforeseen answer must not end the manager.
                if crash.begin(repr(error)):
                    log.exception("event=append_only_check_crashed")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look at each master once."""
        masters = self._topology.masters()
        self._files.keep_only({master.address for master in masters})
        await asyncio.gather(*map(self._look_at, masters))

    async def _look_at(self, master: ServerPool) -> None:
        try:
            (reply,) = await master.execute(("INFO", *SECTIONS), timeout_seconds=ANSWER_TIMEOUT_SECONDS)
        except ServerUnreachable:
            return  # others report it
        if isinstance(reply, RedisError):
            return
        if self._files.look(master.address, AppendOnlyState.parse(parse_info(reply)), time.monotonic()):
            await self._ask_for_rewrite(master)

    async def _ask_for_rewrite(self, master: ServerPool) -> None:
        try:
            (reply,) = await master.execute(("BGREWRITEAOF",), timeout_seconds=ANSWER_TIMEOUT_SECONDS)
        except ServerUnreachable as error:
            reply = error
        refusal = self._refusals.setdefault(master.address, Outage())
        if not isinstance(reply, Exception):
            refusal.end()
        elif refusal.begin(str(reply)):
            log.error("event=append_only_rewrite_refused server=%s error=%r", master.address, str(reply))
