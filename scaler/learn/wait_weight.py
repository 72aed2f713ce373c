"""Controls the wait weight w by a wait target: the oldest job stays within the target 95 % of the time. Pure."""

import math

TIME_CONSTANT_SECONDS = 600.0
"""While the target is met, w falls by a factor of e in this time."""
MIN_WAIT_WEIGHT, MAX_WAIT_WEIGHT = 0.05, 64.0


def adjust_wait_weight(weight: float, *, late: bool, elapsed_seconds: float) -> float:
    """Return the next weight: it rises while the oldest job is late, and falls otherwise.

    Args:
        late: the oldest job has waited longer than the target.
        elapsed_seconds: time since the last call, counting only time in which there were jobs.
    """
    # It rises 19 times as fast as it falls, so it is stable if one second in twenty is late.
    steps = elapsed_seconds / TIME_CONSTANT_SECONDS
    return min(MAX_WAIT_WEIGHT, max(MIN_WAIT_WEIGHT, weight * math.exp(19 * steps if late else -steps)))
