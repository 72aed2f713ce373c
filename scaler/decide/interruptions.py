"""Instances that the cloud reclaims, or recommends replacing: which get a successor, and which go. Pure."""

from collections.abc import Mapping

from jobqueue.workers.registry import WorkerView
from scaler.decide.successors import Successors
from scaler.fleets.instances import Instance

REBALANCE = "rebalance"
"""A worker's interruption, and the termination reason of its instance."""

Instances = Mapping[str, Instance]
"""All instances by id."""
Workers = Mapping[str, WorkerView]
"""Live workers by the id of their instance."""


def instances_to_replace(
    instances: Instances, workers: Workers, successors: Successors, *, keep_idle: bool
) -> list[Instance]:
    """Return needed instances that the cloud reclaims, or recommends replacing, and that have no successor.

    Args:
        keep_idle: idle workers are needed too.
    """
    expected = successors.expected()
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.interruption
        and instance.terminating_at is None
        and (not instance.replacement_token or instance.replacement_token not in expected)
        and (worker.running or keep_idle)
    ]


def replaced_instances(instances: Instances, workers: Workers, successors: Successors) -> list[Instance]:
    """Return the instances with a rebalance recommendation whose successor serves."""
    return successors.replaced(_recommended(instances, workers))


def unneeded_instances(instances: Instances, workers: Workers, min_age_seconds: float, now: float) -> list[Instance]:
    """Return the instances with a rebalance recommendation that go without a successor, if idle ones are not needed."""
    return [
        each
        for each in _recommended(instances, workers)
        if not each.replacement_token and not workers[each.id].running and each.has_served(min_age_seconds, now)
    ]


def _recommended(instances: Instances, workers: Workers) -> list[Instance]:
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.interruption == REBALANCE
        and instance.terminating_at is None
    ]
