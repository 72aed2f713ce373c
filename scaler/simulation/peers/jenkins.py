"""Jenkins' ec2-fleet: launches what the queue exceeds the available and planned; idle ones go after a minute."""

from scaler.simulation.engine import Cloud, Plan

IDLE_SECONDS = 60.0
"""The shortest that can be set; the check comes each minute."""
CHECK_SECONDS = 60.0


class Jenkins:
    interval_seconds = 10.0
    eager = False

    def __init__(self) -> None:
        self._check_at = 0.0

    def plan(self, cloud: Cloud) -> Plan:
        slots = cloud.world.slots
        excess = len(cloud.queue) - (cloud.free_slots + len(cloud.booting) * slots)
        release = []
        if cloud.now >= self._check_at:
            self._check_at = cloud.now + CHECK_SECONDS
            release = [instance for instance in cloud.idle if cloud.now - instance.idle_since >= IDLE_SECONDS]
        return Plan(max(0, -(-excess // slots)), release)
