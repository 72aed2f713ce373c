"""Watches the calls to a fleet: notes refusals, and reports slow ones, because a round waits for them."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from scaler.fleets.fleet import Cause, Fleet, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from scaler.fleets.refusals import RefusedCalls

T = TypeVar("T")


class CallWatch:
    """A fleet that passes every call on to another one, and tracks the calls without an answer.

    Args:
        clock: monotonic seconds.

    Attributes:
        refused: the calls that are refused.
    """

    def __init__(self, fleet: Fleet, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._clock = clock
        self._pending: dict[object, tuple[str, float]] = {}
        self.refused = RefusedCalls()

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
        # A repetition can be refused for what it repeats.
        answer = self._fleet.launch(intent, repeated=repeated)
        return await self._track("launch", f":{intent.token}", answer, notes_refusal=not repeated)

    async def describe(self) -> Sequence[DescribedInstance]:
        """See `Fleet`."""
        return await self._track("describe", "", self._fleet.describe())

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        """See `Fleet`."""
        return await self._track("terminate", f":{','.join(ids)}", self._fleet.terminate(ids))

    async def close(self) -> None:
        """See `Fleet`."""
        await self._fleet.close()

    async def _track(self, kind: str, subject: str, answer: Awaitable[T], *, notes_refusal: bool = True) -> T:
        call = object()
        self._pending[call] = (kind + subject, self._clock())
        try:
            answered = await answer
        except FleetError as error:
            if notes_refusal or error.cause is not Cause.REFUSED:
                self.refused.note(kind, error, self._clock())
            raise
        finally:
            self._pending.pop(call, None)
        self.refused.note(kind, None, self._clock())
        return answered
