"""Karpenter: batches of 1 s idle or 10 s at most; empty nodes go after a revalidation of 15 s, 10 % at once."""

from itertools import islice

from scaler.simulation.engine import Cloud, Instance, Plan

BATCH_IDLE_SECONDS = 1.0
BATCH_SECONDS = 10.0
DISRUPTION_INTERVAL_SECONDS = 10.0
VALIDATION_SECONDS = 15.0
BUDGET = 0.1


class Karpenter:
    interval_seconds = 1.0
    eager = False

    def __init__(self) -> None:
        self._batch_at: float | None = None
        self._changed_at = 0.0
        self._arrived = 0
        self._disrupt_at = 0.0
        self._validating: list[tuple[Instance, float]] = []

    def plan(self, cloud: Cloud) -> Plan:
        return Plan(self._provision(cloud), self._disrupt(cloud))

    def _provision(self, cloud: Cloud) -> int:
        slots = cloud.world.slots
        unfit = -(-max(0, len(cloud.queue) - cloud.free_slots - len(cloud.booting) * slots) // slots)
        arrived = cloud.arrived.total()
        if arrived != self._arrived:
            self._arrived, self._changed_at = arrived, cloud.now
        if not unfit:
            self._batch_at = None
            return 0
        if self._batch_at is None:
            self._batch_at = cloud.now
        if cloud.now - self._changed_at < BATCH_IDLE_SECONDS and cloud.now - self._batch_at < BATCH_SECONDS:
            return 0
        self._batch_at = None
        return unfit

    def _disrupt(self, cloud: Cloud) -> list[Instance]:
        """Empty nodes are chosen, watched for a while, and ended where nothing has come to them."""
        if cloud.now < self._disrupt_at:
            return []
        release = [node for node, since in self._validating if node in cloud.idle and node.idle_since == since]
        chosen = {node for node, _ in self._validating}
        budget = -(-cloud.alive // round(1 / BUDGET))
        self._validating = [
            (node, node.idle_since) for node in islice((node for node in cloud.idle if node not in chosen), budget)
        ]
        self._disrupt_at = cloud.now + (VALIDATION_SECONDS if self._validating else 0.0)
        return release
