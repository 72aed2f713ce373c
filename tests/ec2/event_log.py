"""Event log of the simulated EC2: launched and ended instances, answered calls, and errors."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Launch:
    """The launch of one instance. `launched_at` is in monotonic seconds."""

    launched_at: float
    token: str
    instance_id: str
    instance_type: str
    zone: str
    market: str
    tags: Mapping[str, str]


class End(NamedTuple):
    """The end of one instance, from the moment it was requested.

    Attributes:
        ended_at: in monotonic seconds.
        cause: `terminated`, `shutdown` or `spot`.
    """

    ended_at: float
    cause: str


class EventLog:
    """The events of one simulation.

    Attributes:
        launches: in launch order.
        ends: by instance id.
        calls: answered calls by action.
        errors: by code.
        before_termination: called with the ids of a TerminateInstances call before it takes effect.
    """

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.ends: dict[str, End] = {}
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.before_termination: Callable[[Sequence[str]], None] = lambda _: None
        self._lock = threading.Lock()

    def record_launch(self, launch: Launch) -> None:
        """Record a launch."""
        with self._lock:
            self.launches.append(launch)

    def record_end(self, instance_id: str, cause: str) -> None:
        """Record an end; ignored if the instance has one."""
        with self._lock:
            self.ends.setdefault(instance_id, End(time.monotonic(), cause))

    def launched_at(self, instance_id: str) -> float:
        """Return when an instance was launched, in monotonic seconds."""
        return next(launch.launched_at for launch in self.launches if launch.instance_id == instance_id)

    @property
    def alive(self) -> list[Launch]:
        """The launches of the instances that have not ended."""
        with self._lock:
            return [launch for launch in self.launches if launch.instance_id not in self.ends]

    def max_alive(self, tags: Mapping[str, str]) -> int:
        """Return the largest number of instances with these tags that were alive at once."""
        with self._lock:
            mine = [launch for launch in self.launches if tags.items() <= launch.tags.items()]
            steps = [(launch.launched_at, 1) for launch in mine]
            steps += [
                (self.ends[launch.instance_id].ended_at, -1) for launch in mine if launch.instance_id in self.ends
            ]
        most = now = 0
        for _, step in sorted(steps):  # ends come before launches of the same moment
            now += step
            most = max(most, now)
        return most
