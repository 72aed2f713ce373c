"""What Prometheus is told of the scaler. Each manager counts what it did; only the one that leads shows the fleet."""

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase

BOOT_BUCKETS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
DECISION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0)


class ScalerMetrics:
    """The scaler's metrics, in a registry of the manager's.

    Args:
        hourly_price: of one instance; 0 where it is not known.
        min_billed_seconds: what one costs at least.
    """

    def __init__(
        self, registry: CollectorRegistry, *, hourly_price: float = 0.0, min_billed_seconds: float = 0.0
    ) -> None:
        self._hourly_price = hourly_price
        self._minimum_paid_seconds = min_billed_seconds
        self._counted_at: float | None = None
        self._leading = Gauge("workmanager_scaler_is_leader", "Whether this manager's scaler acts", registry=registry)
        self._desired = Gauge("workmanager_scaler_desired_instances", "Instances that should be", registry=registry)
        self._instances = Gauge("workmanager_scaler_instances", "Instances by phase", ("phase",), registry=registry)
        self._launches = Counter("workmanager_scaler_launches", "Instances launched", ("market",), registry=registry)
        self._failures = Counter(
            "workmanager_scaler_errors", "Calls and boots that failed", ("cause",), registry=registry
        )
        self._ended = Counter(
            "workmanager_scaler_instances_terminated", "Instances ended", ("reason",), registry=registry
        )
        self._paid = Counter(
            "workmanager_scaler_billed_instance_seconds", "Instance-seconds paid for", registry=registry
        )
        self._cost = Counter("workmanager_scaler_cost", "What they cost, by the price set", registry=registry)
        self._boots = Histogram(
            "workmanager_scaler_boot_duration_seconds", "From launch to worker", buckets=BOOT_BUCKETS, registry=registry
        )
        self._rounds = Histogram(
            "workmanager_scaler_reconcile_duration_seconds",
            "From looking to done",
            buckets=DECISION_BUCKETS,
            registry=registry,
        )
        self.clear()

    def clear(self) -> None:
        """Another manager acts, and shows the fleet."""
        self._counted_at = None
        self._leading.set(0)
        self._desired.set(0)
        for phase in InstancePhase:
            self._instances.labels(phase.value).set(0)

    def publish(self, phases: Mapping[str, InstancePhase], pending_launches: int, desired: int, now: float) -> None:
        """Shows the fleet, by instance, and pays for it.

        Args:
            intended: instances that may come of launches whose answer is not known.
        """
        self._leading.set(1)
        self._desired.set(desired)
        number = Tally(phases.values())
        for phase in InstancePhase:
            self._instances.labels(phase.value).set(
                number[phase] + (pending_launches if phase is InstancePhase.BOOTING else 0)
            )
        if self._counted_at is not None:
            self._pay(len(phases) * max(0.0, now - self._counted_at))
        self._counted_at = now

    def launched(self, market: str, number: int) -> None:
        """Instances were launched."""
        self._launches.labels(market).inc(number)

    def failed(self, cause: str, number: int = 1) -> None:
        """Calls, or boots, failed."""
        self._failures.labels(cause).inc(number)

    def booted(self, seconds: float) -> None:
        """A worker registered so long after its launch."""
        self._boots.observe(seconds)

    def terminated(self, instance: Instance, now: float) -> None:
        """An instance is no more."""
        self._ended.labels(instance.reason or "unasked").inc()
        self._pay(max(0.0, self._minimum_paid_seconds - (now - instance.launched_at)))

    def round(self, seconds: float) -> None:
        """A round of the acting scaler took so long."""
        self._rounds.observe(seconds)

    def _pay(self, seconds: float) -> None:
        self._paid.inc(seconds)
        self._cost.inc(seconds / 3600 * self._hourly_price)
