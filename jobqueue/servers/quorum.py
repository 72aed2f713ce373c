"""What a majority of a cluster's masters knows of one of them: two proofs that no other server has replaced it.

Only masters vote on a failover. Suppose a majority (the master itself included) says one of these. Then none can have
voted for a successor:

- It is a master, alive, and has answered each of them since a given moment: they vote only to replace a dead one. So it
  was not cut off at that moment.
- It is a master, and no server follows it, or followed one that has lost its slots: they vote only for a replica of the
  server that it is to replace. One that is linked from now on is seen by the master itself.
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

NEVER, ALWAYS = float("-inf"), float("inf")


@dataclass(frozen=True, slots=True)
class MasterView:
    """One server's view of the masters of its cluster.

    Attributes:
        id: its own.
        can_vote: whether it is a master with slots, and in the majority partition.
        master_count: number of masters with slots.
        seconds_since_contact: id of each other master with slots that is not suspected of failure -> seconds since it
            last answered this server.
        irreplaceable: ids of the masters with slots that no replica could replace. None, while any replica follows a
            server without slots: it is about to follow whoever has taken them.
    """

    id: str
    can_vote: bool
    master_count: int
    seconds_since_contact: Mapping[str, float]
    irreplaceable: frozenset[str]

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
        own_id, masters, followed, seconds_since_contact = "", set(), set(), {}
        for line in nodes.decode().splitlines():
            node_id, _, flag_text, followed_id, _, answered_ms, _, _, *slots = line.split()
            flags = set(flag_text.split(","))
            if "myself" in flags:
                own_id = node_id
            if "slave" in flags:
                followed.add(followed_id)
            if "master" in flags and slots:
                masters.add(node_id)
                # A time in the future was learned from a member whose clock is ahead.
                age = seconds + microseconds / 1e6 - int(answered_ms) / 1e3
                if not flags & {"fail", "fail?", "myself"} and age >= 0:
                    seconds_since_contact[node_id] = age
        can_vote = own_id in masters and b"cluster_state:ok" in info
        irreplaceable = frozenset(masters - followed if followed <= masters else ())
        return cls(own_id, can_vote, len(masters), seconds_since_contact, irreplaceable)


@dataclass(frozen=True, slots=True)
class TimedView:
    """A view, and when it was asked for, in monotonic seconds."""

    view: MasterView
    asked_at: float


async def last_contact_with_majority(own_replies: Sequence[Any], others: Iterable[ServerPool]) -> float:
    """Return the latest time at which a majority shows that a master was not replaced; see `majority_contact_time`.

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
        In monotonic seconds. `ALWAYS` if a majority, the master itself included, knows no server that could replace it;
        `NEVER` if there is no such time, or if the master is the only one.
    """
    if not own.can_vote:
        return NEVER
    needed = max([own.master_count, *(timed.view.master_count for timed in views)]) // 2
    voters = [timed for timed in views if timed.view.can_vote and timed.view.id != own.id]
    knowing_no_successor = {timed.view.id for timed in voters if own.id in timed.view.irreplaceable}
    if own.id in own.irreplaceable and 0 < needed <= len(knowing_no_successor):
        return ALWAYS
    times = {
        timed.view.id: timed.asked_at - timed.view.seconds_since_contact[own.id]
        for timed in voters
        if own.id in timed.view.seconds_since_contact
    }
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
