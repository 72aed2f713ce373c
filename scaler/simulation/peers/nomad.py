"""Nomad's autoscaler: every 10 s the workers that all jobs need, with a 1 % tolerance; then 5 minutes of cooldown."""

import math
from itertools import islice

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

BAND = 0.01
COOLDOWN_SECONDS = 300.0


class Nomad:
    interval_seconds = 10.0
    wakes_on_arrival = False

    def __init__(self) -> None:
        self._ready_at = 0.0

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        current, wanted = system.alive, system.unfinished_jobs / system.scenario.slots
        if system.now < self._ready_at or system.booting:
            return ScalingPlan()
        if current and abs(wanted / current - 1) <= BAND:
            return ScalingPlan()
        desired = math.ceil(wanted)
        release = list(islice(system.idle, max(0, current - desired)))
        if desired > current or release:
            self._ready_at = system.now + COOLDOWN_SECONDS
        return ScalingPlan(max(0, desired - current), release)
