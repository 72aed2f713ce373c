"""buildkite-agent-scaler: every 10 s one agent per scheduled or running job; an agent exits after 600 s idle."""

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

IDLE_SECONDS = 600.0


class Buildkite:
    interval_seconds = 10.0
    wakes_on_arrival = False

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        desired = -(-system.unfinished_jobs // system.scenario.slots)
        release = [instance for instance in system.idle if system.now - instance.idle_since >= IDLE_SECONDS]
        return ScalingPlan(max(0, desired - system.alive), release)
