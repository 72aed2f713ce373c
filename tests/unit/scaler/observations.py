"""Observations made up by hand."""

from collections.abc import Sequence

from scaler.policy import Lessons, Limits, Observation

CLOUD = Limits(min_workers=0, max_workers=1000, minimum_paid_seconds=60.0, idle_seconds=0.0)


def lessons(
    service_seconds: float = 100.0,
    boot_seconds: float = 90.0,
    patience: float = 1.0,
    gap_seconds: float = 0.0,
    idle_seconds: float = 0.0,
    saved_seconds: float = 0.0,
    return_seconds: float = 90.0,
) -> Lessons:
    """The same for every size of the fleet; half of the jobs outlast `service_seconds`, and a third twice as long."""
    return Lessons(
        service_seconds=service_seconds,
        boot_seconds=boot_seconds,
        surviving=lambda age_seconds: service_seconds / (service_seconds + age_seconds),
        patience=lambda _: patience,
        return_seconds=lambda _: return_seconds,
        gap_seconds=lambda _: gap_seconds,
        idle_seconds=lambda _: idle_seconds,
        saved_seconds=lambda _: saved_seconds,
    )


def seen(
    queued: int = 0,
    idle: int = 0,
    running_ages: Sequence[float] = (),
    booting_ages: Sequence[float] = (),
    draining: int = 0,
    known: Lessons | None = None,
    stale: bool = False,
    now: float = 0.0,
) -> Observation:
    """Workers with one slot each."""
    return Observation(
        now=now,
        queued={"f": queued} if queued else {},
        oldest_seconds=1.0 if queued else 0.0,
        running_ages=running_ages,
        idle=idle,
        busy=len(running_ages),
        draining=draining,
        free_slots=idle,
        booting_ages=booting_ages,
        lessons=known or lessons(),
        stale=stale,
    )
