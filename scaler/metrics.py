"""Prometheus metrics of the scaler. Every manager counts what it did; only the leader publishes the fleet."""

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scaler.fleets.fleet import Cause
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase

BOOT_BUCKETS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
MARKETS = ("", "spot", "on-demand")
TERMINATION_REASONS = (
    *("idle", "maximum", "outdated", "rebalance", "worker_exited", "worker_silent", "never_registered", "stopped"),
    *("vanished", "unknown_instance", "external"),
)
"""Known from the start, as the causes of errors are: a counter that begins with 1 has not risen."""
ROUND_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0)


class ScalerMetrics:
    """The scaler's metrics in the manager's registry.

    Args:
        hourly_price: price of one instance; 0 if unknown.
        min_billed_seconds: minimum billing time of one instance.
    """

    def __init__(
        self, registry: CollectorRegistry, *, hourly_price: float = 0.0, min_billed_seconds: float = 0.0
    ) -> None:
        self._hourly_price = hourly_price
        self._min_billed_seconds = min_billed_seconds
        self._billed_until: float | None = None
        self._is_leader = Gauge(
            "workmanager_scaler_is_leader", "Whether this manager's scaler is the leader", registry=registry
        )
        self._desired = Gauge("workmanager_scaler_desired_instances", "Desired number of instances", registry=registry)
        self._instances = Gauge("workmanager_scaler_instances", "Instances by phase", ("phase",), registry=registry)
        self._launches = Counter("workmanager_scaler_launches", "Instances launched", ("market",), registry=registry)
        self._errors = Counter("workmanager_scaler_errors", "Failed calls and boots", ("cause",), registry=registry)
        self._terminated = Counter(
            "workmanager_scaler_instances_terminated", "Instances terminated", ("reason",), registry=registry
        )
        for cause in (*Cause, "boot"):
            self._errors.labels(str(cause))
        for market in MARKETS:
            self._launches.labels(market)
        for reason in TERMINATION_REASONS:
            self._terminated.labels(reason)
        self._billed = Counter(
            "workmanager_scaler_billed_instance_seconds", "Billed instance-seconds", registry=registry
        )
        self._cost = Counter(
            "workmanager_scaler_cost", "Cost of the billed seconds at the configured price", registry=registry
        )
        self._boots = Histogram(
            "workmanager_scaler_boot_duration_seconds",
            "From launch to the registration of the worker",
            buckets=BOOT_BUCKETS,
            registry=registry,
        )
        self._rounds = Histogram(
            "workmanager_scaler_reconcile_duration_seconds",
            "Duration of a round of the leader",
            buckets=ROUND_BUCKETS,
            registry=registry,
        )
        self.clear()

    def clear(self) -> None:
        """Show no fleet, and bill nothing for the time until the next one: another manager is the leader."""
        self._billed_until = None
        self.hide_fleet()

    def hide_fleet(self) -> None:
        """Reset the gauges: another manager may be the leader and publish the fleet."""
        self._is_leader.set(0)
        self._desired.set(0)
        for phase in InstancePhase:
            self._instances.labels(phase.value).set(0)

    def on_clock_step(self) -> None:
        """Bill nothing for the time that Redis' clock has stepped over."""
        self._billed_until = None

    def publish(self, phases: Mapping[str, InstancePhase], pending_launches: int, desired: int, now: float) -> None:
        """Publish the fleet and bill the time since the last call.

        Args:
            phases: phase of each instance, by id.
            pending_launches: instances that launches with an unknown answer can still bring; they count as booting.
        """
        self._is_leader.set(1)
        self._desired.set(desired)
        counts = Tally(phases.values())
        counts[InstancePhase.BOOTING] += pending_launches
        for phase in InstancePhase:
            self._instances.labels(phase.value).set(counts[phase])
        if self._billed_until is not None:
            self._bill(len(phases) * max(0.0, now - self._billed_until))
        self._billed_until = now

    def launched(self, market: str, count: int) -> None:
        """Count launched instances."""
        self._launches.labels(market).inc(count)

    def failed(self, cause: str, count: int = 1) -> None:
        """Count failed calls or boots."""
        self._errors.labels(cause).inc(count)

    def booted(self, seconds: float) -> None:
        """Observe the time from an instance's launch to the registration of its worker."""
        self._boots.observe(seconds)

    def terminated(self, instance: Instance, now: float) -> None:
        """Count a terminated instance, and bill what is missing to the minimum."""
        self._terminated.labels(instance.termination_reason).inc()
        self._bill(max(0.0, self._min_billed_seconds - (now - instance.launched_at)))

    def round_finished(self, seconds: float) -> None:
        """Observe the duration of a round."""
        self._rounds.observe(seconds)

    def _bill(self, seconds: float) -> None:
        self._billed.inc(seconds)
        self._cost.inc(seconds / 3600 * self._hourly_price)
