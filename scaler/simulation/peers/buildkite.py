"""buildkite-agent-scaler: every 10 s, as many as scheduled and running jobs need; an agent exits after 600 s idle."""

from scaler.simulation.engine import Cloud, Plan

IDLE_SECONDS = 600.0


class Buildkite:
    interval_seconds = 10.0
    eager = False

    def plan(self, cloud: Cloud) -> Plan:
        desired = -(-cloud.jobs // cloud.world.slots)
        release = [instance for instance in cloud.idle if cloud.now - instance.idle_since >= IDLE_SECONDS]
        return Plan(max(0, desired - cloud.alive), release)
