"""What the masters of a cluster say of one of them: whether, and when, a majority has been in touch with it.

Only masters vote, and only for the replica of one that they find dead. So a master that a majority (itself included)
calls alive and a master, and that has answered each of them since a given moment, was not cut off at that moment.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from jobqueue.servers.connection_pool import ServerPool, ServerUnreachable

VIEW_TIMEOUT_SECONDS = 0.5

VIEW_COMMANDS = (("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("TIME",))
"""In this order: the time is then not before what was said."""


@dataclass(frozen=True, slots=True)
class MasterView:
    """What one server says of the masters of its cluster.

    Attributes:
        id: its own.
        votes: whether it is a master with slots, and with the majority.
        size: how many masters with slots there are.
        silent_seconds: for how long those have not answered it that are masters with slots and above suspicion, by id.
    """

    id: str
    can_vote: bool
    master_count: int
    seconds_since_contact: Mapping[str, float]

    @classmethod
    def parse(cls, answers: Sequence[Any]) -> "MasterView":
        """From the answers to `QUESTIONS`. Source of the forms: the Redis manual, "CLUSTER NODES".

        Raises:
            ValueError: the server refuses one of them, or answers in another form.
        """
        nodes, info, server_time = answers
        refusal = next((answer for answer in answers if isinstance(answer, RedisError)), None)
        if refusal is not None:
            raise ValueError(str(refusal))
        seconds, microseconds = map(int, server_time)
        own_id, masters, silent_seconds = "", set(), {}
        for line in nodes.decode().splitlines():
            node_id, _, flag_text, _, _, answered_ms, _, _, *slots = line.split()
            flags = set(flag_text.split(","))
            if "myself" in flags:
                own_id = node_id
            if "master" in flags and slots:
                masters.add(node_id)
                # What lies ahead was learnt from a member whose clock is.
                silent = seconds + microseconds / 1e6 - int(answered_ms) / 1e3
                if not flags & {"fail", "fail?", "myself"} and silent >= 0:
                    silent_seconds[node_id] = silent
        return cls(own_id, own_id in masters and b"cluster_state:ok" in info, len(masters), silent_seconds)


@dataclass(frozen=True, slots=True)
class TimedView:
    """A census, and when it was asked for, in monotonic seconds."""

    view: MasterView
    asked_at: float


async def last_contact_with_majority(own_replies: Sequence[Any], others: Iterable[ServerPool]) -> float:
    """When a majority has been in touch with a master, in monotonic seconds; see `agreed_at`.

    Args:
        master: its own answers to `QUESTIONS`.
        others: the cluster's masters. Those that do not answer within `ASK_SECONDS` say nothing.
    """
    try:
        own = MasterView.parse(own_replies)
    except ValueError:
        return float("-inf")
    hearings = await asyncio.gather(*map(_hear, others))
    return majority_contact_time(own, [hearing for hearing in hearings if hearing is not None])


def majority_contact_time(own: MasterView, views: Sequence[TimedView]) -> float:
    """The latest moment after which each of a majority, the master itself included, has heard from it.

    Args:
        own: what the master says.
        hearings: what the others say.

    Returns:
        -inf where there is no such moment, or the master has none beside it who could say so.
    """
    if not own.can_vote:
        return float("-inf")
    moments = {
        one.view.id: one.asked_at - one.view.seconds_since_contact[own.id]
        for one in views
        if one.view.can_vote and one.view.id != own.id and own.id in one.view.seconds_since_contact
    }
    needed = max([own.master_count, *(one.view.master_count for one in views)]) // 2
    if not 0 < needed <= len(moments):
        return float("-inf")
    return sorted(moments.values(), reverse=True)[needed - 1]


async def _hear(node: ServerPool) -> TimedView | None:
    asked_at = time.monotonic()
    try:
        async with asyncio.timeout(VIEW_TIMEOUT_SECONDS):
            return TimedView(MasterView.parse(await node.execute(*VIEW_COMMANDS)), asked_at)
    except (ServerUnreachable, TimeoutError, ValueError):
        return None
