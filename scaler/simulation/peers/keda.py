"""KEDA with the HPA: every 30 s queue length ÷ 5, a 10 % tolerance, a 300 s stabilisation window; then zero."""

import math
from collections import deque
from itertools import islice

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

QUEUED_PER_WORKER = 5
BAND = 0.1
WINDOW_SECONDS = 300.0


class Keda:
    interval_seconds = 30.0
    wakes_on_arrival = False

    def __init__(self) -> None:
        self._recommended: deque[tuple[float, int]] = deque()
        self._active_at = -math.inf

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        now, queued, current = system.now, len(system.queue), system.alive
        if queued:
            self._active_at = now
        desired = max(-(-queued // (QUEUED_PER_WORKER * system.scenario.slots)), 1)
        if current and abs(desired / current - 1) <= BAND:
            desired = current
        if not queued and now - self._active_at >= WINDOW_SECONDS:
            # Inactive: KEDA itself scales to zero and bypasses the HPA.
            self._recommended.clear()
            return ScalingPlan(terminate=list(system.idle))
        self._recommended.append((now, desired))
        while self._recommended[0][0] < now - WINDOW_SECONDS:
            self._recommended.popleft()
        excess = current - max(recommended for _, recommended in self._recommended)
        return ScalingPlan(max(0, desired - current), list(islice(system.idle, max(0, excess))))
