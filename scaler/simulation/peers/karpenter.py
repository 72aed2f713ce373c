"""Karpenter: batches of 1 s idle or 10 s at most; removes empty nodes after a 15 s revalidation, 10 % at a time."""

from itertools import islice

from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import Instance, SimulatedSystem

BATCH_IDLE_SECONDS = 1.0
BATCH_SECONDS = 10.0
DISRUPTION_INTERVAL_SECONDS = 10.0
VALIDATION_SECONDS = 15.0
BUDGET = 0.1


class Karpenter:
    interval_seconds = 1.0
    wakes_on_arrival = False

    def __init__(self) -> None:
        self._batch_at: float | None = None
        self._changed_at = 0.0
        self._arrived = 0
        self._disrupt_at = 0.0
        self._validating: list[tuple[Instance, float]] = []

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        return ScalingPlan(self._provision(system), self._disrupt(system))

    def _provision(self, system: SimulatedSystem) -> int:
        slots = system.scenario.slots
        unfit = -(-max(0, len(system.queue) - system.free_slots - len(system.booting) * slots) // slots)
        arrived = system.arrived_by_function.total()
        if arrived != self._arrived:
            self._arrived, self._changed_at = arrived, system.now
        if not unfit:
            self._batch_at = None
            return 0
        if self._batch_at is None:
            self._batch_at = system.now
        if system.now - self._changed_at < BATCH_IDLE_SECONDS and system.now - self._batch_at < BATCH_SECONDS:
            return 0
        self._batch_at = None
        return unfit

    def _disrupt(self, system: SimulatedSystem) -> list[Instance]:
        """Choose empty nodes, watch them for a while, and terminate those that stayed empty."""
        if system.now < self._disrupt_at:
            return []
        release = [node for node, since in self._validating if node in system.idle and node.idle_since == since]
        chosen = {node for node, _ in self._validating}
        budget = -(-system.alive // round(1 / BUDGET))
        self._validating = [
            (node, node.idle_since) for node in islice((node for node in system.idle if node not in chosen), budget)
        ]
        self._disrupt_at = system.now + (VALIDATION_SECONDS if self._validating else 0.0)
        return release
