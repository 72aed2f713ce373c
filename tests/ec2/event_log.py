"""What happened in the simulated EC2: launched and ended instances, and how many lived at any moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Launch:
    """One instance that was launched: when (monotonic seconds), by which token, and what it is."""

    launched_at: float
    token: str
    instance_id: str
    instance_type: str
    zone: str
    market: str
    tags: Mapping[str, str]


class EventLog:
    """Books of one simulation.

    Attributes:
        launches: in order.
        ends: when each ended instance was asked to (monotonic seconds) and by what: `terminated`, `shutdown`, `spot`.
        calls: answered calls by action; errors by code.
        before_termination: told the ids of a TerminateInstances call before it takes effect.
    """

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.ends: dict[str, tuple[float, str]] = {}
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.before_termination: Callable[[Sequence[str]], None] = lambda _: None
        self._lock = threading.Lock()

    def record_launch(self, launch: Launch) -> None:
        """Enters an instance."""
        with self._lock:
            self.launches.append(launch)

    def record_end(self, instance_id: str, cause: str) -> None:
        """Enters an end; a second one is none."""
        with self._lock:
            self.ends.setdefault(instance_id, (time.monotonic(), cause))

    def launched_at(self, instance_id: str) -> float:
        """When an instance was launched (monotonic seconds)."""
        return next(launch.launched_at for launch in self.launches if launch.instance_id == instance_id)

    @property
    def alive(self) -> list[Launch]:
        """Those that have not ended."""
        with self._lock:
            return [launch for launch in self.launches if launch.instance_id not in self.ends]

    def max_alive(self, tags: Mapping[str, str]) -> int:
        """How many instances with these tags lived at the moment when most did."""
        with self._lock:
            mine = [launch for launch in self.launches if tags.items() <= launch.tags.items()]
            steps = [(launch.launched_at, 1) for launch in mine]
            steps += [(self.ends[launch.instance_id][0], -1) for launch in mine if launch.instance_id in self.ends]
        most = now = 0
        for _, step in sorted(steps):  # an end before a launch of the same moment
            now += step
            most = max(most, now)
        return most
