"""Asks the members of the cluster how they are, about once a second, and carries out what `plan` makes of it."""

import asyncio
import logging
import random
import time
from collections.abc import Container, Sequence

from redis.exceptions import RedisError

from jobqueue.servers.connection_pool import ConnectionFactory, ServerPool, ServerUnreachable
from manager.cluster.health import ClusterState, assess
from manager.cluster.member_views import MemberView, parse_view
from manager.cluster.plan import ClusterCommand, locate, plan, plan_hand_over, slot_owner
from manager.cluster.slot_ranges import Address, SlotRange

RECONCILE_SECONDS = 1.0
POLL_SECONDS = 0.1
ANSWER_TIMEOUT_SECONDS = 1.0
MAX_VIEW_AGE_SECONDS = 3.0
"""A step is not taken on what was said longer ago: this process may have been stopped in between."""
FAILOVER_RETRY_SECONDS = 10.0
"""Between two attempts to make the same member a master: Redis gives one up after five seconds by itself."""
FAILBACK_DELAY_SECONDS = 3.0
"""How long a host must have been back before its masters are failed back: it may be about to leave."""

log = logging.getLogger(__name__)


class ClusterReconciler:
    """Keeps a cluster as its groups say.

    Args:
        connect: makes connections, as a user that may administer the cluster.
    """

    def __init__(self, slot_ranges: Sequence[SlotRange], connect: ConnectionFactory) -> None:
        self._groups = slot_ranges
        self._nodes = {address: ServerPool(*address, connect) for group in slot_ranges for address in group.members}
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

    async def wait_until_healthy(self, seconds: float) -> bool:
        """Looks again and again until the cluster is whole; False where it was not so in time."""
        deadline = time.monotonic() + seconds
        while not (await self.reconcile()).is_healthy:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def reconcile(self) -> ClusterState:
        """Looks once, and does what there is to do."""
        asked_at = time.monotonic()
        views = await self._look_around()
        self.state = assess(views, self._groups)
        if self.state.requires_operator != self._told:
            self._told = self.state.requires_operator
            for trouble in self._told:
                log.error("event=cluster_requires_operator reason=%r", trouble)
        steps = plan(views, self._groups)
        back = [step.member for step in steps if step.arguments[1] == "FAILOVER"]
        self._back_since = {member: self._back_since.get(member, asked_at) for member in back}
        for step in steps:
            if time.monotonic() - asked_at > MAX_VIEW_AGE_SECONDS:
                break
            if asked_at - self._back_since.get(step.member, float("-inf")) >= FAILBACK_DELAY_SECONDS:
                await self._take(step)
        return self.state

    async def hand_over(self, leaving: Container[Address], seconds: float) -> bool:
        """Makes masters of those that are about to leave replicas; False where that was not done in time."""
        deadline = time.monotonic() + seconds
        while True:
            views = await self._look_around()
            found = [locate(views, slot_owner(views, group)) for group in self._groups]
            if views and not any(at is not None and at[0] in leaving for at in found):
                return True
            if time.monotonic() > deadline:
                return False
            for step in plan_hand_over(views, self._groups, leaving):
                await self._take(step)
            await asyncio.sleep(POLL_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                await self.reconcile()
            except Exception:
                # The loop's edge: what went wrong is gone, or is there again, when it looks the next time.
                log.exception("event=cluster_reconcile_failed")
            await asyncio.sleep(RECONCILE_SECONDS * random.uniform(0.8, 1.2))

    async def _look_around(self) -> dict[Address, MemberView]:
        answers = await asyncio.gather(*(self._look(address, node) for address, node in self._nodes.items()))
        return {address: view for address, view in zip(self._nodes, answers, strict=True) if view is not None}

    async def _look(self, address: Address, node: ServerPool) -> MemberView | None:
        questions = (("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication", "persistence"), ("DBSIZE",))
        try:
            answers = await node.execute(*questions, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
            refusal = next((answer for answer in answers if isinstance(answer, RedisError)), None)
            trouble = str(refusal or "")
        except ServerUnreachable as error:
            trouble = str(error)
        if trouble:
            if address not in self._away:
                log.warning("event=cluster_member_down member=%s reason=%r", address, trouble)
            self._away[address] = trouble
            return None
        if self._away.pop(address, None) is not None:
            log.info("event=cluster_member_up member=%s", address)
        nodes, cluster_info, info, keys = answers
        return parse_view(nodes.decode(), cluster_info.decode(), info.decode(), keys)

    async def _take(self, step: ClusterCommand) -> None:
        now = time.monotonic()
        if step.arguments[1] == "FAILOVER":
            if now - self._failover_at.get(step.member, float("-inf")) < FAILOVER_RETRY_SECONDS:
                return
            self._failover_at[step.member] = now
        try:
            (answer,) = await self._nodes[step.member].execute(step.arguments, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
        except ServerUnreachable as error:
            answer = error
        told = answer if isinstance(answer, Exception) else "ok"
        command = " ".join(map(str, step.arguments))
        log.info(
            "event=cluster_command member=%s command=%r reason=%r result=%r",
            step.member,
            command,
            step.reason,
            str(told),
        )
