"""Factories of observations and estimates."""

from collections.abc import Sequence

from scaler.policy import Estimates, ExpectedBatch, Limits, Observation

CLOUD = Limits(min_workers=0, max_workers=1000, min_billed_seconds=60.0, min_idle_seconds=0.0)


def estimates(
    service_seconds: float = 100.0,
    boot_seconds: float = 90.0,
    hold_factor: float = 1.0,
    idle_gap_seconds: float = 0.0,
    net_idle_seconds: float = 0.0,
    saved_seconds: float = 0.0,
    miss_cost_seconds: float = 90.0,
    batch: ExpectedBatch | None = None,
) -> Estimates:
    """Make estimates that are the same for every fleet size.

    Half of the jobs run longer than `service_seconds`, and a third of them longer than twice that.
    """
    return Estimates(
        service_seconds=service_seconds,
        boot_seconds=boot_seconds,
        survival=lambda age_seconds: service_seconds / (service_seconds + age_seconds),
        hold_factor=lambda _: hold_factor,
        miss_cost_seconds=lambda _: miss_cost_seconds,
        idle_gap_seconds=lambda _: idle_gap_seconds,
        net_idle_seconds=lambda _: net_idle_seconds,
        saved_seconds=lambda _: saved_seconds,
        batch=batch,
    )


def observed(
    *,
    queued: int = 0,
    oldest_seconds: float = 1.0,
    idle: int = 0,
    idle_age_seconds: float = 3600.0,
    running_ages: Sequence[float] = (),
    busy: int | None = None,
    booting_ages: Sequence[float] = (),
    draining: int = 0,
    learned: Estimates | None = None,
    stale: bool = False,
    now: float = 0.0,
) -> Observation:
    """Make an observation of workers with one slot each, unless fewer are `busy` than jobs run."""
    return Observation(
        now=now,
        queued={"f": queued} if queued else {},
        oldest_seconds=oldest_seconds if queued else 0.0,
        running_ages=running_ages,
        idle_ages=(idle_age_seconds,) * idle,
        busy=len(running_ages) if busy is None else busy,
        draining=draining,
        free_slots=idle,
        booting_ages=booting_ages,
        estimates=learned or estimates(),
        stale=stale,
    )
