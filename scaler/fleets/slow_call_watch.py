"""Slow-call watchdog: wraps a fleet and reports calls that take too long, because a round waits for them."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from scaler.fleets.fleet import Fleet, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest

T = TypeVar("T")


class SlowCallWatch:
    """A fleet that passes every call on to another one and tracks the calls without an answer.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, fleet: Fleet, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._clock = clock
        self._pending: dict[object, tuple[str, float]] = {}

    @property
    def name(self) -> str:
        """See `Fleet`."""
        return self._fleet.name

    @property
    def profile(self) -> Profile:
        """See `Fleet`."""
        return self._fleet.profile

    def pop_overdue(self, seconds: float) -> list[str]:
        """Return the names of the calls that have taken longer than this; each call is reported once."""
        now = self._clock()
        overdue = {call: name for call, (name, since) in self._pending.items() if now - since > seconds}
        for call in overdue:
            del self._pending[call]
        return list(overdue.values())

    def plan(
        self,
        count: int,
        living: Collection[Instance],
        cooling: Collection[str],
        pending: Collection[LaunchRequest] = (),
    ) -> list[LaunchRequest]:
        """See `Fleet`."""
        return self._fleet.plan(count, living, cooling, pending)

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """See `Fleet`."""
        return await self._track(f"launch:{intent.token}", self._fleet.launch(intent, repeated=repeated))

    async def describe(self) -> Sequence[DescribedInstance]:
        """See `Fleet`."""
        return await self._track("describe", self._fleet.describe())

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        """See `Fleet`."""
        return await self._track(f"terminate:{','.join(ids)}", self._fleet.terminate(ids))

    async def close(self) -> None:
        """See `Fleet`."""
        await self._fleet.close()

    async def _track(self, name: str, answer: Awaitable[T]) -> T:
        call = object()
        self._pending[call] = (name, self._clock())
        try:
            return await answer
        finally:
            self._pending.pop(call, None)
