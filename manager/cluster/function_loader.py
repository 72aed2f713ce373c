"""Load the scripts as functions, for Redis users that may call functions and may not run scripts (ADR 31).

Every master gets the libraries that this version calls, as the user of `WORKMANAGER_CLUSTER_URL`. Replicas copy them.
A library's name has a hash of its text, so that the functions of other versions stay beside it. Its description has the
day on which a manager that calls it has last confirmed it. One that no manager has called for long is deleted.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from jobqueue.acl import MANAGER_SCRIPTS, WORKER_SCRIPTS
from jobqueue.backoff import Outage
from jobqueue.errors import ShardUnavailable
from jobqueue.servers.connection_pool import RedisCommand, ServerPool
from jobqueue.servers.topology import Topology
from jobqueue.servers.unreachable import ServerUnreachable
from jobqueue.sharding.scripts import FUNCTION_PREFIX, Script, script

LOAD_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 4.0
CONFIRM_AFTER = timedelta(days=1)
DELETE_AFTER = timedelta(days=30)
"""Longer than a worker outlives the last manager of its version."""
LIST_COMMAND = ("FUNCTION", "LIST", "LIBRARYNAME", f"{FUNCTION_PREFIX}*")

log = logging.getLogger(__name__)


def plan_libraries(
    found: Mapping[str, date | None], scripts: Iterable[Script], today: date
) -> tuple[list[RedisCommand], list[RedisCommand]]:
    """Return the commands that load libraries, and those that delete old ones.

    Args:
        found: the libraries of a master: when each was last confirmed, None if it does not say so.
        scripts: what this version calls.
    """
    own = {script.function: script for script in scripts}
    missing = [
        script
        for name, script in own.items()
        if (confirmed := found.get(name)) is None or today - confirmed >= CONFIRM_AFTER
    ]
    old = [
        name
        for name, confirmed in found.items()
        if name not in own and confirmed is not None and today - confirmed >= DELETE_AFTER
    ]
    loads: list[RedisCommand] = [
        ("FUNCTION", "LOAD", "REPLACE", script.library(today.isoformat())) for script in missing
    ]
    return loads, [("FUNCTION", "DELETE", name) for name in old]


def parse_libraries(reply: Any) -> dict[str, date | None]:
    """Parse the reply to `LIST_COMMAND`: when each library was last confirmed, by its name."""
    found: dict[str, date | None] = {}
    for library in map(_fields, reply):
        descriptions = [_fields(function).get(b"description") for function in library[b"functions"]]
        found[library[b"library_name"].decode()] = _parse_day(descriptions[0] if descriptions else None)
    return found


class FunctionLoader:
    """Looks at every master once a second, and loads what it lacks. Several loaders do no harm.

    Args:
        topology: the servers, with the connections of a user that may load functions. It is closed at the end.
        today: the day in UTC.
    """

    def __init__(self, topology: Topology, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> None:
        self._topology = topology
        self._scripts = [script(name) for name in sorted({*MANAGER_SCRIPTS, *WORKER_SCRIPTS})]
        self._today = today
        self._refusals: dict[str, Outage] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self, seconds: float) -> None:
        """Start to load, and wait for so long for the first round: calls before it are refused and repeated."""
        first_round = asyncio.Event()
        self._task = asyncio.create_task(self._run(first_round))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(first_round.wait(), seconds)

    async def stop(self) -> None:
        """Stop, and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._topology.close()

    async def load(self) -> None:
        """Look at each master once."""
        self._topology.invalidate()  # a master that has been one for a moment may lack the latest libraries
        try:
            await self._topology.refresh()
        except ShardUnavailable:
            return  # others report it
        await asyncio.gather(*map(self._load_on, self._topology.masters()))

    async def _run(self, first_round: asyncio.Event) -> None:
        crash = Outage()
        while True:
            try:
                await self.load()
                crash.end()
            except Exception as error:  # The loop's edge: an unforeseen answer must not end the manager.
                if crash.begin(repr(error)):
                    log.exception("event=function_loader_crashed")
            first_round.set()
            await asyncio.sleep(LOAD_SECONDS * random.uniform(0.8, 1.2))

    async def _load_on(self, master: ServerPool) -> None:
        refusal = self._refusals.setdefault(master.address, Outage())
        try:
            loaded, deleted = await self._ask(master)
        except ServerUnreachable:
            return  # others report it
        except RedisError as error:
            reason = str(error)
            if isinstance(error, NoPermissionError):
                reason = self._topology.login.denied(master.address, "the loading of functions", reason)
            if refusal.begin(reason):
                log.error("event=functions_not_loaded server=%s error=%r", master.address, reason)
            return
        refusal.end()
        if loaded or deleted:
            log.info("event=functions_loaded server=%s loaded=%d deleted=%d", master.address, loaded, deleted)

    async def _ask(self, master: ServerPool) -> tuple[int, int]:
        """Return how many libraries the master has been given, and how many taken from it."""
        (reply,) = await master.execute(LIST_COMMAND, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
        if isinstance(reply, RedisError):
            raise reply
        loads, deletions = plan_libraries(parse_libraries(reply), self._scripts, self._today())
        # One at a time: each takes the server a millisecond or two, in which it serves nobody else.
        for command in loads:
            (reply,) = await master.execute(command, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
            if isinstance(reply, RedisError):
                raise reply
        for command in deletions:
            # An error means that another manager has deleted it.
            await master.execute(command, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
        return len(loads), len(deletions)


def _fields(reply: Any) -> dict[bytes, Any]:
    """Return a map as RESP3 has it; RESP2 has a flat list of names and values."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def _parse_day(text: bytes | None) -> date | None:
    try:
        return date.fromisoformat((text or b"").decode())
    except ValueError:
        return None
