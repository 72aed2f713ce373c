"""Jenkins' ec2-fleet: launches for jobs beyond the free and planned slots; idle instances end after a minute."""

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

IDLE_SECONDS = 60.0
"""The shortest setting; the check runs each minute."""
CHECK_SECONDS = 60.0


class Jenkins:
    interval_seconds = 10.0
    wakes_on_arrival = False

    def __init__(self) -> None:
        self._check_at = 0.0

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        slots = system.scenario.slots
        excess = len(system.queue) - (system.free_slots + len(system.booting) * slots)
        release = []
        if system.now >= self._check_at:
            self._check_at = system.now + CHECK_SECONDS
            release = [instance for instance in system.idle if system.now - instance.idle_since >= IDLE_SECONDS]
        return ScalingPlan(max(0, -(-excess // slots)), release)
