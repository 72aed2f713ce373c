"""When a majority of a cluster's masters was last in touch with one of them: proof that it was not cut off before that.

Only masters vote on a failover, and only to replace a master that they consider dead. Suppose a majority (the master
itself included) calls a server alive and a master, and it has answered each of them since a given moment. Then it was
not cut off at that moment.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.unreachable import ServerUnreachable

VIEW_TIMEOUT_SECONDS = 0.5

VIEW_COMMANDS = (("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("TIME",))
"""The commands whose replies make up a `MasterView`. TIME comes last, so that it is not earlier than the rest."""

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class MasterView:
    """One server's view of the masters of its cluster.

    Attributes:
        id: its own.
        can_vote: whether it is a master with slots, and in the majority partition.
        master_count: number of masters with slots.
        seconds_since_contact: id of each other master with slots that is not suspected of failure -> seconds since it
            last answered this server.
    """

    id: str
    can_vote: bool
    master_count: int
    seconds_since_contact: Mapping[str, float]

    @classmethod
    def parse(cls, replies: Sequence[Any]) -> "MasterView":
        """Parse the replies to `VIEW_COMMANDS`. Source of the formats: the Redis manual, "CLUSTER NODES".

        Raises:
            ValueError: a reply is an error, or has another format.
        """
        refusal = next((reply for reply in replies if isinstance(reply, RedisError)), None)
        if refusal is not None:
            raise ValueError(str(refusal))
        try:
            return cls._parse(*replies)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"no view of a cluster: {error!r}") from error

    @classmethod
    def _parse(cls, nodes: Any, info: Any, server_time: Any) -> "MasterView":
        seconds, microseconds = map(int, server_time)
        own_id, masters, seconds_since_contact = "", set(), {}
        for line in nodes.decode().splitlines():
            node_id, _, flag_text, _, _, answered_ms, _, _, *slots = line.split()
            flags = set(flag_text.split(","))
            if "myself" in flags:
                own_id = node_id
            if "master" in flags and slots:
                masters.add(node_id)
                # A time in the future was learned from a member whose clock is ahead.
                age = seconds + microseconds / 1e6 - int(answered_ms) / 1e3
                if not flags & {"fail", "fail?", "myself"} and age >= 0:
                    seconds_since_contact[node_id] = age
        return cls(own_id, own_id in masters and b"cluster_state:ok" in info, len(masters), seconds_since_contact)


@dataclass(frozen=True, slots=True)
class TimedView:
    """A view, and when it was asked for, in monotonic seconds."""

    view: MasterView
    asked_at: float


async def last_contact_with_majority(own_replies: Sequence[Any], others: Iterable[ServerPool]) -> float:
    """Return since when each of a majority has heard from a master, in monotonic seconds; see `majority_contact_time`.

    Args:
        own_replies: the master's own replies to `VIEW_COMMANDS`.
        others: the cluster's other masters. Those that do not reply within `VIEW_TIMEOUT_SECONDS` do not count.
    """
    try:
        own = MasterView.parse(own_replies)
    except ValueError:
        return NEVER
    views = await asyncio.gather(*map(_ask, others))
    return majority_contact_time(own, [view for view in views if view is not None])


def majority_contact_time(own: MasterView, views: Sequence[TimedView]) -> float:
    """Return the latest time after which each of a majority, the master itself included, has heard from it.

    Args:
        own: the master's own view.
        views: those of the other masters.

    Returns:
        `NEVER` if there is no such time, or if the master is the only one.
    """
    if not own.can_vote:
        return NEVER
    times = {
        timed.view.id: timed.asked_at - timed.view.seconds_since_contact[own.id]
        for timed in views
        if timed.view.can_vote and timed.view.id != own.id and own.id in timed.view.seconds_since_contact
    }
    needed = max([own.master_count, *(timed.view.master_count for timed in views)]) // 2
    if not 0 < needed <= len(times):
        return NEVER
    return sorted(times.values(), reverse=True)[needed - 1]


async def _ask(server: ServerPool) -> TimedView | None:
    asked_at = time.monotonic()
    try:
        async with asyncio.timeout(VIEW_TIMEOUT_SECONDS):
            return TimedView(MasterView.parse(await server.execute(*VIEW_COMMANDS)), asked_at)
    except (ServerUnreachable, TimeoutError, ValueError):
        return None
