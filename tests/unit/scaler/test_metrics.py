"""What Prometheus is told."""

from prometheus_client import CollectorRegistry

from scaler.metrics import ScalerMetrics
from scaler.observe.instance_phases import InstancePhase
from tests.unit.scaler.factories import instance


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"workmanager_scaler_{name}", labels)


def test_the_fleet_is_shown_by_phase_and_only_by_who_leads() -> None:
    registry = CollectorRegistry()
    meter = ScalerMetrics(registry)
    meter.publish({"a": InstancePhase.BUSY, "b": InstancePhase.BUSY, "c": InstancePhase.BOOTING}, 2, 6, 10.0)
    assert _value(registry, "instances", phase="busy") == 2
    assert _value(registry, "instances", phase="booting") == 3
    assert (_value(registry, "desired_instances"), _value(registry, "is_leader")) == (6, 1)
    meter.clear()
    assert _value(registry, "instances", phase="busy") == 0
    assert (_value(registry, "desired_instances"), _value(registry, "is_leader")) == (0, 0)


def test_instances_are_paid_for_by_the_second_and_for_a_minute_at_least() -> None:
    registry = CollectorRegistry()
    meter = ScalerMetrics(registry, hourly_price=0.36, min_billed_seconds=60.0)
    meter.publish({"a": InstancePhase.BOOTING, "b": InstancePhase.BUSY}, 0, 2, 100.0)
    meter.publish({"a": InstancePhase.BUSY, "b": InstancePhase.BUSY}, 0, 2, 110.0)
    assert _value(registry, "billed_instance_seconds_total") == 20.0
    meter.terminated(instance("a", 100.0, reason="idle"), 110.0)
    meter.terminated(instance("b", 0.0, reason="spot"), 110.0)
    assert _value(registry, "billed_instance_seconds_total") == 70.0
    assert abs((_value(registry, "cost_total") or 0.0) - 0.007) < 1e-9
    assert _value(registry, "instances_terminated_total", reason="idle") == 1


def test_the_time_in_which_another_led_is_not_paid_here() -> None:
    registry = CollectorRegistry()
    meter = ScalerMetrics(registry)
    meter.publish({"a": InstancePhase.BUSY}, 0, 1, 100.0)
    meter.clear()
    meter.publish({"a": InstancePhase.BUSY}, 0, 1, 500.0)
    assert _value(registry, "billed_instance_seconds_total") == 0.0
