"""Nomad's autoscaler: every 10 s as many as jobs in slots need, outside a band of 1 %; then 5 minutes of rest."""

import math
from itertools import islice

from scaler.simulation.engine import Cloud, Plan

BAND = 0.01
COOLDOWN_SECONDS = 300.0


class Nomad:
    interval_seconds = 10.0
    eager = False

    def __init__(self) -> None:
        self._ready_at = 0.0

    def plan(self, cloud: Cloud) -> Plan:
        current, wanted = cloud.alive, cloud.jobs / cloud.world.slots
        if cloud.now < self._ready_at or cloud.booting:
            return Plan()
        if current and abs(wanted / current - 1) <= BAND:
            return Plan()
        desired = math.ceil(wanted)
        release = list(islice(cloud.idle, max(0, current - desired)))
        if desired > current or release:
            self._ready_at = cloud.now + COOLDOWN_SECONDS
        return Plan(max(0, desired - current), release)
