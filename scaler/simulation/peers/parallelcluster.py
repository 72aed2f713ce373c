"""AWS ParallelCluster: Slurm starts nodes for jobs that do not fit; a node is stopped after 10 idle minutes."""

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

IDLE_SECONDS = 600.0


class ParallelCluster:
    interval_seconds = 5.0
    wakes_on_arrival = False

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        slots = system.scenario.slots
        unfit = len(system.queue) - (system.free_slots + len(system.booting) * slots)
        release = [instance for instance in system.idle if system.now - instance.idle_since >= IDLE_SECONDS]
        return ScalingPlan(max(0, -(-unfit // slots)), release)
