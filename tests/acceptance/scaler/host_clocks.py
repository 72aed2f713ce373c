"""The clocks of the managers' two hosts. Redis shows that of the host which its master runs on."""

import random
from dataclasses import dataclass, field

from tests.fake_clock import FakeClock

MIN_STEP_EXPONENT, MAX_STEP_EXPONENT = 0.5, 6.9
"""Steps are between 3 seconds and 92 days."""


@dataclass(slots=True)
class HostClocks:
    """What each host's clock shows beside the true time.

    Attributes:
        true: the time that passes.
        redis: the clock of Redis' host.
        off_seconds: by how much each host's clock is ahead; negative: behind.
    """

    true: FakeClock
    redis: FakeClock
    off_seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _master: int = 0
    _right_at: float = float("inf")

    @property
    def are_right(self) -> bool:
        """Whether both clocks show the true time."""
        return not any(self.off_seconds)

    def set_wrong(self, rng: random.Random) -> None:
        """Let one clock, or both, step back or ahead; they are set right some minutes later."""
        seconds = rng.choice((-1.0, 1.0)) * 10.0 ** rng.uniform(MIN_STEP_EXPONENT, MAX_STEP_EXPONENT)
        for host in rng.choice(((0,), (1,), (0, 1))):
            self.off_seconds[host] = seconds
        self._right_at = self.true.now + rng.uniform(30.0, 600.0)

    def fail_over(self) -> None:
        """Let the other host's Redis become the master."""
        self._master = 1 - self._master

    def set_right(self) -> None:
        """Set both clocks."""
        self.off_seconds, self._right_at = [0.0, 0.0], float("inf")

    def follow(self) -> float:
        """Move Redis' clock to the true time plus what it is off; return by how much it has stepped."""
        if self.true.now >= self._right_at:
            self.set_right()
        before, self.redis.now = self.redis.now, self.true.now + self.off_seconds[self._master]
        return self.redis.now - before
