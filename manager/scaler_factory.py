"""Build a manager's scaler from its settings."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from jobqueue.sharding.shards import Shards
from manager.settings import ManagerSettings
from scaler.fleets.fleet import Fleet, Profile
from scaler.fleets.local import LocalFleet
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits


def build_scaler(
    kind: str,
    settings: ManagerSettings,
    shards: Shards,
    address: str,
    registry: CollectorRegistry,
    *,
    parent_fd: int | None,
) -> ScalerLoop | None:
    """Return the scaler's loop, not yet started; None if this manager launches no workers.

    Args:
        kind: `ec2`, `local` or `none`.
        address: this manager's host and port, shown as the leader in `GET /scaler`.
        parent_fd: see `LocalFleet`.
    """
    fleet: Fleet
    if kind == "ec2":
        from scaler.fleets.ec2.fleet import Ec2Fleet  # boto3 takes a fifth of a manager's start.

        fleet = Ec2Fleet.connect(settings.ec2_plan())
    elif kind == "local":
        redis_url = settings.worker_redis_url or settings.redis_url
        fleet = LocalFleet(redis_url, slots=settings.worker_slots, parent_fd=parent_fd)
    else:
        return None
    profile = fleet.profile
    metrics = ScalerMetrics(
        registry, hourly_price=settings.price_per_hour, min_billed_seconds=profile.min_billed_seconds
    )
    return ScalerLoop(
        shards,
        fleet,
        with_profile(limits_from_settings(settings), profile),
        address,
        metrics,
        wait_target_seconds=settings.wait_target_seconds,
        managed_queues=settings.queues,
    )


def limits_from_settings(settings: ManagerSettings) -> Limits:
    """Return the operator's limits and preferences."""
    return Limits(
        min_workers=settings.min_workers,
        max_workers=settings.max_workers,
        wait_weight=settings.wait_weight,
        hourly_budget=settings.budget_per_hour,
        hourly_price=settings.price_per_hour,
        min_workers_schedule=settings.min_workers_schedule,
    )


def with_profile(limits: Limits, profile: Profile) -> Limits:
    """Return the limits with the properties of the fleet's instances filled in."""
    return replace(
        limits,
        slots_per_worker=profile.slots,
        min_billed_seconds=profile.min_billed_seconds,
        min_idle_seconds=profile.min_idle_seconds,
    )
