"""AWS's "backlog per instance": target tracking of queued ÷ workers at acceptable latency ÷ mean processing time."""

import math
from collections import deque
from itertools import islice

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import SimulatedSystem

ACCEPTABLE_SECONDS = 60.0
METRIC_SECONDS = 60.0
OUT_POINTS, IN_POINTS = 3, 15
IN_MARGIN = 0.9


class AwsBacklog:
    """Args: mean_seconds: the true mean service time; in practice usually a constant in the configuration."""

    interval_seconds = METRIC_SECONDS
    wakes_on_arrival = False

    def __init__(self, mean_seconds: float) -> None:
        # With a target below one queued job per instance, every waiting job multiplies the fleet.
        self._target = max(1.0, ACCEPTABLE_SECONDS / max(mean_seconds, 1e-9))
        self._points: deque[tuple[float, float]] = deque(maxlen=IN_POINTS)

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        target = self._target * system.scenario.slots
        queued, current = len(system.queue), system.alive
        # Backlog per instance is undefined without instances: use the backlog of one.
        self._points.append((system.now, queued / max(current, 1)))
        metrics = [metric for _, metric in self._points]
        if current == 0 and queued:
            return ScalingPlan(math.ceil(queued / target))
        if len(metrics) >= OUT_POINTS and min(metrics[-OUT_POINTS:]) > target:
            return ScalingPlan(max(0, math.ceil(queued / target) - current))
        since = self._points[0][0]
        if system.now - since >= (IN_POINTS - 1) * METRIC_SECONDS and max(metrics) < IN_MARGIN * target:
            return ScalingPlan(terminate=list(islice(system.idle, max(0, current - math.ceil(queued / target)))))
        return ScalingPlan()
