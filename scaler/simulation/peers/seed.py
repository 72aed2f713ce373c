"""avivshabi/workManager: every 5 minutes one worker per 10,000 queued jobs; a worker exits after 11 empty polls."""

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

QUEUED_PER_WORKER = 10_000
IDLE_SECONDS = 11 * 45.0


class Seed:
    interval_seconds = 5.0
    wakes_on_arrival = False

    def __init__(self) -> None:
        self._launch_at = 0.0

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        launch = 0
        if system.now >= self._launch_at:
            self._launch_at = system.now + 300.0
            queued, registered = len(system.queue), system.alive - len(system.booting)
            if queued / QUEUED_PER_WORKER > registered:
                launch = max(1, queued // QUEUED_PER_WORKER)
        release = [instance for instance in system.idle if system.now - instance.idle_since >= IDLE_SECONDS]
        return ScalingPlan(launch, release)
