"""Reconcile the cluster about once a second: read the views of all members, send the commands of `plan`."""

import asyncio
import logging
import random
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from redis.exceptions import NoPermissionError, RedisError

from jobqueue.backoff import Outage
from jobqueue.servers.connection_pool import ConnectionFactory, ServerPool
from jobqueue.servers.login import Login
from jobqueue.servers.unreachable import ServerUnreachable
from manager.append_only.watched_files import WatchedFiles
from manager.cluster.cluster_view import located_owner
from manager.cluster.health import ClusterState, assess
from manager.cluster.member_views import VIEW_COMMANDS, MemberView, parse_view
from manager.cluster.plan import ClusterCommand, plan, plan_hand_over
from manager.cluster.slot_ranges import Address, SlotRange

RECONCILE_SECONDS = 1.0
POLL_SECONDS = 0.1
"""Pause between two rounds while somebody waits for the cluster."""
ANSWER_TIMEOUT_SECONDS = 1.0
MAX_VIEW_AGE_SECONDS = 3.0
"""No command is sent on older views: this process may have been stopped in between."""
FAILOVER_RETRY_SECONDS = 10.0
"""Pause between two failovers to the same member; Redis abandons one after 5 s."""
FAILBACK_DELAY_SECONDS = 3.0
"""How long a host must have been back before its masters are failed back to it: it may be about to stop."""

log = logging.getLogger(__name__)


class ClusterReconciler:
    """Keeps a cluster in its configured state.

    Args:
        slot_ranges: the configured state.
        connect: opens connections as a user that can administer the cluster.
        login: that user, for messages.
    """

    def __init__(
        self, slot_ranges: Sequence[SlotRange], connect: ConnectionFactory, login: Login | None = None
    ) -> None:
        self._slot_ranges = slot_ranges
        self._login = login or Login(setting="WORKMANAGER_CLUSTER_URL", role="administrator")
        self._servers = {
            address: ServerPool(*address, connect) for slot_range in slot_ranges for address in slot_range.members
        }
        self._down: dict[Address, Outage] = {}
        self._files = WatchedFiles()
        self._failover_at: dict[Address, float] = {}
        self._failback_possible_since: dict[Address, float] = {}
        self._logged_problems: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self.state: ClusterState | None = None
        """The state at the last round; None before the first."""

    @property
    def unsound_files(self) -> Mapping[str, str]:
        """Why a member may not start again from its append-only file, by address."""
        return self._files.problems

    def start(self) -> None:
        """Start to reconcile."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop to reconcile and close the connections; the cluster stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for server in self._servers.values():
            await server.close()

    async def wait_until_healthy(self, seconds: float) -> bool:
        """Reconcile until the cluster is healthy; return False if it is not so within `seconds`."""
        deadline = time.monotonic() + seconds
        while not (await self.reconcile()).is_healthy:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def reconcile(self) -> ClusterState:
        """Read all views once and send the next commands."""
        started_at = time.monotonic()
        views, rewrites = self._look_at_files(await self._read_views())
        self.state = assess(views, self._slot_ranges)
        if self.state.requires_operator != self._logged_problems:
            self._logged_problems = self.state.requires_operator
            for problem in self._logged_problems:
                log.error("event=cluster_requires_operator reason=%r", problem)
        commands = [*plan(views, self._slot_ranges), *rewrites]
        before = self._failback_possible_since
        since = {command.member: before.get(command.member, started_at) for command in commands if command.is_failover}
        self._failback_possible_since = since
        for command in commands:
            if time.monotonic() - started_at > MAX_VIEW_AGE_SECONDS:
                break
            if started_at - since.get(command.member, float("-inf")) >= FAILBACK_DELAY_SECONDS:
                await self._send(command)
        return self.state

    def _look_at_files(
        self, views: Mapping[Address, MemberView]
    ) -> tuple[dict[Address, MemberView], list[ClusterCommand]]:
        """Return the views with what is known about the members' files, and the requests for rewrites."""
        now = time.monotonic()
        asked = [address for address, view in views.items() if self._files.look(str(address), view.append_only, now)]
        unsound = self._files.problems
        judged = {address: replace(view, has_sound_file=str(address) not in unsound) for address, view in views.items()}
        commands = [ClusterCommand(address, ("BGREWRITEAOF",), unsound[str(address)]) for address in asked]
        return judged, commands

    async def hand_over(self, leaving: Container[Address], seconds: float) -> bool:
        """Replace the masters among `leaving` by their replicas; return False if that fails within `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            views = await self._read_views()
            owners = [located_owner(views, slot_range) for slot_range in self._slot_ranges]
            if views and not any(owner is not None and owner.address in leaving for owner in owners):
                return True
            if time.monotonic() > deadline:
                return False
            for command in plan_hand_over(views, self._slot_ranges, leaving):
                await self._send(command)
            await asyncio.sleep(POLL_SECONDS)

    async def is_served_elsewhere(self, ended: Address) -> bool:
        """Return whether another member serves the slots of a member that has ended: then its own data are not needed.

        A server that starts empty before that would be taken for the master of its replica, and empty it.
        """
        views = await self._read_views()
        owners = [located_owner(views, slot_range) for slot_range in self._slot_ranges if ended in slot_range.members]
        return ended not in views and all(
            owner is not None and owner.address != ended and owner.view.sees_majority for owner in owners
        )

    async def _run(self) -> None:
        outage = Outage()
        while True:
            try:
                await self.reconcile()
            except Exception as error:
                # The loop's edge: the next round reads everything anew.
                if outage.begin(repr(error)):
                    log.exception("event=cluster_reconcile_failed")
            else:
                if (seconds := outage.end()) is not None:
                    log.info("event=cluster_reconcile_recovered after_seconds=%.1f", seconds)
            await asyncio.sleep(RECONCILE_SECONDS * random.uniform(0.8, 1.2))

    async def _read_views(self) -> dict[Address, MemberView]:
        answers = await asyncio.gather(*(self._read_view(address, server) for address, server in self._servers.items()))
        return {address: view for address, view in zip(self._servers, answers, strict=True) if view is not None}

    async def _read_view(self, address: Address, server: ServerPool) -> MemberView | None:
        try:
            answers = await server.execute(*VIEW_COMMANDS, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
            error = next((answer for answer in answers if isinstance(answer, RedisError)), None)
            failure = "" if error is None else self._text_of(error, address, "the care for the cluster")
            if not failure:
                nodes, cluster_info, info, keys = answers
                view = parse_view(nodes.decode(), cluster_info.decode(), info.decode(), keys)
        except ServerUnreachable as error:
            failure = str(error)
        except (ValueError, LookupError) as error:
            # One member that answers what nobody can read must not keep the others from being repaired.
            failure = f"it answers no view of a cluster: {error!r}"
        if failure:
            if self._down.setdefault(address, Outage()).begin():
                log.warning("event=cluster_member_down member=%s reason=%r", address, failure)
            return None
        if address in self._down:
            seconds = self._down.pop(address).seconds
            log.info("event=cluster_member_up member=%s after_seconds=%.1f", address, seconds)
        return view

    async def _send(self, command: ClusterCommand) -> None:
        now = time.monotonic()
        if command.is_failover:
            if now - self._failover_at.get(command.member, float("-inf")) < FAILOVER_RETRY_SECONDS:
                return
            self._failover_at[command.member] = now
        server = self._servers[command.member]
        try:
            (answer,) = await server.execute(command.arguments, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
        except ServerUnreachable as error:
            answer = error
        log.info(
            "event=cluster_command member=%s command=%r reason=%r result=%r",
            command.member,
            " ".join(map(str, command.arguments)),
            command.reason,
            self._text_of(answer, command.member, "this command") if isinstance(answer, Exception) else "ok",
        )

    def _text_of(self, error: Exception, member: Address, request: str) -> str:
        is_denied = isinstance(error, NoPermissionError)
        return self._login.denied(str(member), request, str(error)) if is_denied else str(error)
