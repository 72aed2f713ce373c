"""Ray's autoscaler: every 5 s nodes for jobs that do not fit, at most max(5, running) booting; 300 s idle timeout."""

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

IDLE_SECONDS = 300.0
PENDING_AT_LEAST = 5


class Ray:
    interval_seconds = 5.0
    wakes_on_arrival = False

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        pending = len(system.booting)
        room = system.free_slots + pending * system.scenario.slots
        unfit = -(-max(0, len(system.queue) - room) // system.scenario.slots)
        allowed = max(PENDING_AT_LEAST, system.alive - pending) - pending
        release = [instance for instance in system.idle if system.now - instance.idle_since >= IDLE_SECONDS]
        return ScalingPlan(max(0, min(unfit, allowed)), release)
