"""Watch over file descriptors that jobs leave open, so that no later job runs out of them."""

import os
import resource

_DIRECTORIES = ("/proc/self/fd", "/dev/fd")


class DescriptorWatch:
    """Tells when too many descriptors have been left open.

    Args:
        max_growth: how many, since the start or the last import of a function's module.
    """

    def __init__(self, max_growth: int) -> None:
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_growth = max_growth if soft_limit == resource.RLIM_INFINITY else min(max_growth, soft_limit // 4)
        self.keep()

    def keep(self) -> None:
        """Count what is open now as not left by a job."""
        self._most = count_descriptors() + self._max_growth

    def exceeded(self, *, count: bool) -> bool:
        """Return whether more are open.

        All numbers below a new descriptor's are in use. That tells it without counting, unless numbers have come free
        in between.

        Args:
            count: whether to count them, which takes longer.
        """
        try:
            lowest_free = os.dup(0)
        except OSError:
            return True  # There is none left.
        os.close(lowest_free)
        return lowest_free > self._most or (count and count_descriptors() > self._most)


def count_descriptors() -> int:
    """Return how many descriptors this process has open; 0 if that cannot be told."""
    for directory in _DIRECTORIES:
        try:
            return len(os.listdir(directory)) - 1  # Without the one that lists.
        except OSError:
            continue
    return 0
