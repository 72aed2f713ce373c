"""Ray's autoscaler: every 5 s what does not fit, at most max(5, running) pending; idle nodes end after 300 s."""

from scaler.simulation.engine import Cloud, Plan

IDLE_SECONDS = 300.0
PENDING_AT_LEAST = 5


class Ray:
    interval_seconds = 5.0
    eager = False

    def plan(self, cloud: Cloud) -> Plan:
        pending = len(cloud.booting)
        room = cloud.free_slots + pending * cloud.world.slots
        unfit = -(-max(0, len(cloud.queue) - room) // cloud.world.slots)
        allowed = max(PENDING_AT_LEAST, cloud.alive - pending) - pending
        release = [instance for instance in cloud.idle if cloud.now - instance.idle_since >= IDLE_SECONDS]
        return Plan(max(0, min(unfit, allowed)), release)
