"""The scaler's Prometheus metrics."""

import pytest
from prometheus_client import CollectorRegistry

from scaler.metrics import ScalerMetrics
from scaler.observe.instance_phases import InstancePhase
from tests.unit.scaler.factories import instance


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"workmanager_scaler_{name}", labels)


def test_only_the_leader_publishes_the_fleet_by_phase() -> None:
    registry = CollectorRegistry()
    metrics = ScalerMetrics(registry)
    phases = {"a": InstancePhase.BUSY, "b": InstancePhase.BUSY, "c": InstancePhase.BOOTING}
    metrics.publish(phases, pending_launches=2, desired=6, now=10.0)
    assert _value(registry, "instances", phase="busy") == 2
    assert _value(registry, "instances", phase="booting") == 3
    assert (_value(registry, "desired_instances"), _value(registry, "is_leader")) == (6, 1)
    metrics.clear()
    assert _value(registry, "instances", phase="busy") == 0
    assert (_value(registry, "desired_instances"), _value(registry, "is_leader")) == (0, 0)


def test_instances_are_billed_by_the_second_with_a_minimum_of_a_minute() -> None:
    registry = CollectorRegistry()
    metrics = ScalerMetrics(registry, hourly_price=0.36, min_billed_seconds=60.0)
    phases = {"a": InstancePhase.BOOTING, "b": InstancePhase.BUSY}
    metrics.publish(phases, pending_launches=0, desired=2, now=100.0)
    metrics.publish(phases, pending_launches=0, desired=2, now=110.0)
    assert _value(registry, "billed_instance_seconds_total") == 20.0
    metrics.terminated(instance("a", 100.0, reason="idle"), 110.0)
    metrics.terminated(instance("b", 0.0, reason="spot"), 110.0)
    assert _value(registry, "billed_instance_seconds_total") == 70.0
    assert _value(registry, "cost_total") == pytest.approx(0.007, abs=1e-9)
    assert _value(registry, "instances_terminated_total", reason="idle") == 1


def test_time_under_another_leader_is_not_billed_here() -> None:
    registry = CollectorRegistry()
    metrics = ScalerMetrics(registry)
    phases = {"a": InstancePhase.BUSY}
    metrics.publish(phases, pending_launches=0, desired=1, now=100.0)
    metrics.clear()
    metrics.publish(phases, pending_launches=0, desired=1, now=500.0)
    assert _value(registry, "billed_instance_seconds_total") == 0.0


def test_all_causes_and_markets_are_told_before_something_happened() -> None:
    registry = CollectorRegistry()
    ScalerMetrics(registry)
    assert _value(registry, "errors_total", cause="capacity") == 0
    assert [_value(registry, "launches_total", market=market) for market in ("", "spot", "on-demand")] == [0, 0, 0]
