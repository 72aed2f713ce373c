"""A fleet whose calls are watched, so that a round that waits for one can say so."""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from scaler.fleets.fleet import Fleet, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest

T = TypeVar("T")


class SlowCallWatch:
    """Another fleet, with a describe at what it has been asked and not answered.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, fleet: Fleet, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._clock = clock
        self._under_way: dict[object, tuple[str, float]] = {}

    @property
    def name(self) -> str:
        """See `Fleet`."""
        return self._fleet.name

    @property
    def profile(self) -> Profile:
        """See `Fleet`."""
        return self._fleet.profile

    def overdue(self, seconds: float) -> list[str]:
        """The calls that have taken longer than that, each of them told once."""
        now = self._clock()
        late = {call: name for call, (name, since) in self._under_way.items() if now - since > seconds}
        for call in late:
            del self._under_way[call]
        return list(late.values())

    def plan(self, count: int, living: Collection[Instance], cooling: Collection[str]) -> list[LaunchRequest]:
        """See `Fleet`."""
        return self._fleet.plan(count, living, cooling)

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """See `Fleet`."""
        return await self._watched(f"launch:{intent.token}", self._fleet.launch(intent, repeated=repeated))

    async def describe(self) -> Sequence[DescribedInstance]:
        """See `Fleet`."""
        return await self._watched("describe", self._fleet.describe())

    async def terminate(self, ids: Sequence[str]) -> Collection[str]:
        """See `Fleet`."""
        return await self._watched(f"terminate:{','.join(ids)}", self._fleet.terminate(ids))

    async def close(self) -> None:
        """See `Fleet`."""
        await self._fleet.close()

    async def _watched(self, name: str, answer: Awaitable[T]) -> T:
        call = object()
        self._under_way[call] = (name, self._clock())
        try:
            return await answer
        finally:
            self._under_way.pop(call, None)
