"""How many workers there should be. Pure: numbers in, a decision with its reason out.

A simple rule: one worker for each `slots_per_worker` jobs that wait or run, within the limits; workers that have had
nothing to do for a while are let go.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows.

    Attributes:
        slots_per_worker: jobs that one worker runs at a time.
        idle_seconds: how long the queue must have been empty before workers are let go.
    """

    min_workers: int
    max_workers: int
    slots_per_worker: int = 1
    idle_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What is.

    Attributes:
        queued: jobs that wait.
        started: jobs that run.
        idle, busy, draining: registered workers by state.
        booting: workers that were launched and have not registered yet.
        quiet_seconds: for how long nothing has waited or run.
    """

    queued: int
    started: int
    idle: int
    busy: int
    draining: int
    booting: int
    quiet_seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do: launch so many, drain so many, and why, in a line that can be checked by hand."""

    launch: int
    drain: int
    reason: str


def decide(observation: Observation, limits: Limits) -> Decision:
    """The decision for one observation.

    Draining workers take no new jobs, so they are no capacity; but they count against the maximum until they have gone.
    """
    seen = observation
    serving = seen.idle + seen.busy + seen.booting
    living = serving + seen.draining
    demand = -(-(seen.queued + seen.started) // limits.slots_per_worker)
    wanted = min(max(demand, limits.min_workers), limits.max_workers)
    facts = (
        f"queued={seen.queued} started={seen.started} idle={seen.idle} busy={seen.busy} booting={seen.booting} "
        f"draining={seen.draining} min={limits.min_workers} max={limits.max_workers}"
    )
    if wanted > serving and living < limits.max_workers:
        launch = min(wanted - serving, limits.max_workers - living)
        return Decision(launch, 0, f"LAUNCH {launch}: {wanted} wanted for {demand} workers' worth of jobs; {facts}")
    if serving > limits.max_workers:
        drain = serving - limits.max_workers
        return Decision(0, drain, f"DRAIN {drain}: above the maximum; {facts}")
    spare = min(serving - wanted, seen.idle)
    if spare > 0 and demand == 0 and seen.quiet_seconds >= limits.idle_seconds:
        return Decision(0, spare, f"DRAIN {spare}: nothing to do for {seen.quiet_seconds:.0f} s; {facts}")
    return Decision(0, 0, f"KEEP {serving}: {facts}")
