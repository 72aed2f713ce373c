"""Asks the members of the cluster how they are, about once a second, and carries out what `plan` makes of it."""

import asyncio
import logging
import random
import time
from collections.abc import Container, Sequence

from redis.exceptions import RedisError

from jobqueue.servers.connection_pool import ConnectionFactory, Node, NodeUnreachable
from manager.cluster.health import ClusterState, assess
from manager.cluster.member_views import View, read_view
from manager.cluster.plan import Step, find, hand_overs, owner, plan
from manager.cluster.slot_ranges import Address, Group

PERIOD_SECONDS = 1.0
SETTLING_SECONDS = 0.1
ANSWER_SECONDS = 1.0
BELIEVED_SECONDS = 3.0
"""A step is not taken on what was said longer ago: this process may have been stopped in between."""
FAILOVER_PAUSE_SECONDS = 10.0
"""Between two attempts to make the same member a master: Redis gives one up after five seconds by itself."""
RETURNED_SECONDS = 3.0
"""How long a host must have been back before its masters are failed back: it may be about to leave."""

log = logging.getLogger(__name__)


class Steward:
    """Keeps a cluster as its groups say.

    Args:
        connect: makes connections, as a user that may administer the cluster.
    """

    def __init__(self, groups: Sequence[Group], connect: ConnectionFactory) -> None:
        self._groups = groups
        self._nodes = {address: Node(*address, connect) for group in groups for address in group.members}
        self._away: dict[Address, str] = {}
        self._failover_at: dict[Address, float] = {}
        self._back_since: dict[Address, float] = {}
        self._told: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self.state: ClusterState | None = None
        """As of the last round; None before the first."""

    def start(self) -> None:
        """Begins to look after the cluster."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Leaves the cluster as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()

    async def settle(self, seconds: float) -> bool:
        """Looks again and again until the cluster is whole; False where it was not so in time."""
        deadline = time.monotonic() + seconds
        while not (await self.round()).whole:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(SETTLING_SECONDS)
        return True

    async def round(self) -> ClusterState:
        """Looks once, and does what there is to do."""
        asked_at = time.monotonic()
        views = await self._look_around()
        self.state = assess(views, self._groups)
        if self.state.needs_a_person != self._told:
            self._told = self.state.needs_a_person
            for trouble in self._told:
                log.error("event=cluster_needs_a_person reason=%r", trouble)
        steps = plan(views, self._groups)
        back = [step.member for step in steps if step.command[1] == "FAILOVER"]
        self._back_since = {member: self._back_since.get(member, asked_at) for member in back}
        for step in steps:
            if time.monotonic() - asked_at > BELIEVED_SECONDS:
                break
            if asked_at - self._back_since.get(step.member, float("-inf")) >= RETURNED_SECONDS:
                await self._take(step)
        return self.state

    async def hand_over(self, leaving: Container[Address], seconds: float) -> bool:
        """Makes masters of those that are about to leave replicas; False where that was not done in time."""
        deadline = time.monotonic() + seconds
        while True:
            views = await self._look_around()
            found = [find(views, owner(views, group)) for group in self._groups]
            if views and not any(at is not None and at[0] in leaving for at in found):
                return True
            if time.monotonic() > deadline:
                return False
            for step in hand_overs(views, self._groups, leaving):
                await self._take(step)
            await asyncio.sleep(SETTLING_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                await self.round()
            except Exception:
                # The loop's edge: what went wrong is gone, or is there again, when it looks the next time.
                log.exception("event=cluster_round_failed")
            await asyncio.sleep(PERIOD_SECONDS * random.uniform(0.8, 1.2))

    async def _look_around(self) -> dict[Address, View]:
        answers = await asyncio.gather(*(self._look(address, node) for address, node in self._nodes.items()))
        return {address: view for address, view in zip(self._nodes, answers, strict=True) if view is not None}

    async def _look(self, address: Address, node: Node) -> View | None:
        questions = (("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication", "persistence"), ("DBSIZE",))
        try:
            answers = await node.execute(*questions, timeout_seconds=ANSWER_SECONDS)
            refusal = next((answer for answer in answers if isinstance(answer, RedisError)), None)
            trouble = str(refusal or "")
        except NodeUnreachable as error:
            trouble = str(error)
        if trouble:
            if address not in self._away:
                log.warning("event=cluster_member_away member=%s reason=%r", address, trouble)
            self._away[address] = trouble
            return None
        if self._away.pop(address, None) is not None:
            log.info("event=cluster_member_back member=%s", address)
        nodes, cluster_info, info, keys = answers
        return read_view(nodes.decode(), cluster_info.decode(), info.decode(), keys)

    async def _take(self, step: Step) -> None:
        now = time.monotonic()
        if step.command[1] == "FAILOVER":
            if now - self._failover_at.get(step.member, float("-inf")) < FAILOVER_PAUSE_SECONDS:
                return
            self._failover_at[step.member] = now
        try:
            (answer,) = await self._nodes[step.member].execute(step.command, timeout_seconds=ANSWER_SECONDS)
        except NodeUnreachable as error:
            answer = error
        told = answer if isinstance(answer, Exception) else "ok"
        command = " ".join(map(str, step.command))
        log.info(
            "event=cluster_step member=%s command=%r reason=%r result=%r", step.member, command, step.reason, str(told)
        )
