"""AWS ParallelCluster: Slurm powers up a node for what does not fit; a node goes down after 10 idle minutes."""

from scaler.simulation.engine import Cloud, Plan

IDLE_SECONDS = 600.0


class ParallelCluster:
    interval_seconds = 5.0
    eager = False

    def plan(self, cloud: Cloud) -> Plan:
        slots = cloud.world.slots
        unfit = len(cloud.queue) - (cloud.free_slots + len(cloud.booting) * slots)
        release = [instance for instance in cloud.idle if cloud.now - instance.idle_since >= IDLE_SECONDS]
        return Plan(max(0, -(-unfit // slots)), release)
