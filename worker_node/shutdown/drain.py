"""Drain state of a worker: whether it is stopping, why, and until when running jobs may continue."""

import asyncio
import math
import time

SPOT_MARGIN_SECONDS = 15.0
"""A worker releases running jobs this long before EC2 reclaims its instance: enough time to record that in Redis."""


class Drain:
    """Starts once, for the first reason given. Its deadline can only move closer.

    Attributes:
        started: set when the drain starts.
        reason: why it started.
        interruption: what EC2 has announced: 'spot', 'rebalance' or ''.
    """

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.reason = self.interruption = ""
        self._deadline = math.inf
        self._has_grace_period = False

    @property
    def remaining_seconds(self) -> float:
        """How much longer the running jobs may continue."""
        return self._deadline - time.monotonic()

    def start(self, grace_seconds: float, reason: str) -> None:
        """Let running jobs continue for `grace_seconds`; after a second call with a finite time, for none at all."""
        if math.isfinite(grace_seconds):
            self._end_within(0.0 if self._has_grace_period else grace_seconds)
            self._has_grace_period = True
        self._start(reason)

    def start_for_spot(self, seconds: float) -> None:
        """Drain because EC2 reclaims the instance in `seconds`."""
        self.interruption = "spot"
        self._end_within(max(0.0, seconds - SPOT_MARGIN_SECONDS))
        self._start("spot")

    def note_rebalance(self) -> None:
        """Note, for the next heartbeat, that EC2 may reclaim the instance soon. Does not start the drain."""
        self.interruption = self.interruption or "rebalance"

    def _end_within(self, seconds: float) -> None:
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def _start(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.started.set()
