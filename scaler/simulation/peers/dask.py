"""Dask's adaptive deployment: every second occupancy ÷ 5 s, at most one worker per task; three votes to scale in."""

import math
from itertools import chain, islice

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

TARGET_SECONDS = 5.0
VOTES = 3


class Dask:
    """Args: mean_seconds: the true mean service time, which Dask has to learn in practice."""

    interval_seconds = 1.0
    wakes_on_arrival = False

    def __init__(self, mean_seconds: float) -> None:
        self._mean_seconds = mean_seconds
        self._votes = 0

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        tasks = -(-system.unfinished_jobs // system.scenario.slots)
        occupancy_seconds = system.unfinished_jobs * self._mean_seconds / system.scenario.slots
        desired = min(math.ceil(occupancy_seconds / TARGET_SECONDS), tasks)
        excess = system.alive - desired
        if excess <= 0:
            self._votes = 0
            return ScalingPlan(-excess)
        self._votes += 1
        if self._votes < VOTES:
            return ScalingPlan()
        victims = list(islice(chain(system.booting, system.idle), excess))
        return ScalingPlan(
            terminate=[instance for instance in victims if instance in system.idle],
            cancel_booting=[instance for instance in victims if instance in system.booting],
        )
