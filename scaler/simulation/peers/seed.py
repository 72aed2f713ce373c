"""avivshabi/workManager: every 5 minutes a worker for each 10,000 queued jobs; one leaves after 11 empty polls."""

from scaler.simulation.engine import Cloud, Plan

QUEUED_PER_WORKER = 10_000
IDLE_SECONDS = 11 * 45.0


class Seed:
    interval_seconds = 5.0
    eager = False

    def __init__(self) -> None:
        self._launch_at = 0.0

    def plan(self, cloud: Cloud) -> Plan:
        launch = 0
        if cloud.now >= self._launch_at:
            self._launch_at = cloud.now + 300.0
            queued, registered = len(cloud.queue), cloud.alive - len(cloud.booting)
            if queued / QUEUED_PER_WORKER > registered:
                launch = max(1, queued // QUEUED_PER_WORKER)
        release = [instance for instance in cloud.idle if cloud.now - instance.idle_since >= IDLE_SECONDS]
        return Plan(launch, release)
