"""GitHub runners on EC2: one runner per job still queued after 30 s; every 5 minutes old idle runners are removed."""

from itertools import takewhile

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

DELAY_SECONDS = 30.0
CHECK_SECONDS = 300.0
MINIMUM_RUNNING_SECONDS = 300.0


class GithubRunners:
    interval_seconds = 1.0
    wakes_on_arrival = False

    def __init__(self) -> None:
        self._check_at = 0.0
        self._asked_until = -1.0

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        # One message per job, read once, 30 s after the job arrived: a job that has started by then asks for no runner.
        due_at = system.now - DELAY_SECONDS
        late = takewhile(lambda job: job.submit_seconds <= due_at, system.queue)
        asking = sum(job.submit_seconds > self._asked_until for job in late)
        self._asked_until = due_at
        release = []
        if system.now >= self._check_at:
            self._check_at = system.now + CHECK_SECONDS
            release = [node for node in system.idle if system.now - node.launched_at >= MINIMUM_RUNNING_SECONDS]
        return ScalingPlan(-(-asking // system.scenario.slots), release)
