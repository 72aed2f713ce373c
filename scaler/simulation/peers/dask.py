"""Dask's adaptive deployment: every second, occupancy over 5 s, at most one worker a task; three votes to go down."""

import math
from itertools import chain, islice

from scaler.simulation.engine import Cloud, Plan

TARGET_SECONDS = 5.0
VOTES = 3


class Dask:
    """Args: mean_seconds: the true mean service time, which Dask would have to learn."""

    interval_seconds = 1.0
    eager = False

    def __init__(self, mean_seconds: float) -> None:
        self._mean_seconds = mean_seconds
        self._votes = 0

    def plan(self, cloud: Cloud) -> Plan:
        tasks = -(-cloud.jobs // cloud.world.slots)
        occupancy_seconds = cloud.jobs * self._mean_seconds / cloud.world.slots
        desired = min(math.ceil(occupancy_seconds / TARGET_SECONDS), tasks)
        excess = cloud.alive - desired
        if excess <= 0:
            self._votes = 0
            return Plan(-excess)
        self._votes += 1
        if self._votes < VOTES:
            return Plan()
        victims = list(islice(chain(cloud.booting, cloud.idle), excess))
        return Plan(
            release=[instance for instance in victims if instance in cloud.idle],
            cancel=[instance for instance in victims if instance in cloud.booting],
        )
