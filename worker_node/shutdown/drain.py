"""Whether a worker leaves, why, and by when."""

import asyncio
import math
import time

SPOT_MARGIN_SECONDS = 15.0
"""How long before its instance goes a worker gives back what it still runs: enough to record that."""


class Drain:
    """Begins once, for the first reason that is given; its deadline only comes nearer.

    Attributes:
        begun: set when it begins.
        reason: what it is for.
        notice: what EC2 has said, 'spot' or 'rebalance', or ''.
    """

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.reason = self.interruption = ""
        self._deadline = math.inf
        self._told = False

    @property
    def remaining_seconds(self) -> float:
        """How much longer running jobs may go on."""
        return self._deadline - time.monotonic()

    def start(self, grace_seconds: float, reason: str) -> None:
        """Running jobs may go on for so long; a limit that is set a second time means at once."""
        if math.isfinite(grace_seconds):
            self._end_within(0.0 if self._told else grace_seconds)
            self._told = True
        self._begin(reason)

    def start_for_spot(self, seconds: float) -> None:
        """EC2 takes the instance back in so many seconds."""
        self.interruption = "spot"
        self._end_within(max(0.0, seconds - SPOT_MARGIN_SECONDS))
        self._begin("spot")

    def note_rebalance(self) -> None:
        """EC2 may take the instance back soon: nothing begins, but whoever scales the fleet is to know."""
        self.interruption = self.interruption or "rebalance"

    def _end_within(self, seconds: float) -> None:
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def _begin(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.started.set()
