"""What is known of a job that may explain why it does not run. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.job_view import JobView
from jobqueue.workers.registry import WorkerView


@dataclass(frozen=True, slots=True)
class Parent:
    """A job that another one still waits for.

    Attributes:
        awaited: `finished` if it must succeed, `ended` if any end will do.
        status: None if it does not exist, or the caller does not see it.
    """

    id: str
    awaited: str
    status: str | None


@dataclass(frozen=True, slots=True)
class ScalerFacts:
    """What the scaler does about waiting jobs.

    Attributes:
        leader: the manager that acts; None if none does.
        reason: of the last decision.
        instances: how many there are, booting and draining ones included.
        boot_etas: in how many seconds each booting instance is likely to serve, ascending; 0 if it is late.
        pending_launches: instances that launches without an answer may bring.
        budget_per_hour: None for no limit.
        allowed_workers: how many there may be, by `max_workers` and the budget.
        held_back: why launches are held back; '' if they are not.
        held_back_seconds: for how long; 0 if that is not known.
        probes: so many workers never registered that one instance at a time is tried.
    """

    leader: str | None
    is_paused: bool
    reason: str
    instances: int
    boot_etas: Sequence[float]
    pending_launches: int
    max_workers: int
    budget_per_hour: float | None
    allowed_workers: int
    held_back: str
    held_back_seconds: float
    probes: bool


@dataclass(frozen=True, slots=True)
class FullLimit:
    """A limit whose places are all taken.

    Attributes:
        holders: ids of the jobs that hold them for longest, as far as the caller sees them.
    """

    key: str
    places: int
    running: int
    holders: Sequence[str]


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """What keeps a job with limits or a fair key in its lane.

    Attributes:
        full: its limits that have no place.
        allowed_in_seconds: until the rate of a limit allows the next job of the lane; None if no rate forbids it.
    """

    full: Sequence[FullLimit]
    allowed_in_seconds: float | None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What a queued job meets, or one that waits in a lane for its limits.

    Attributes:
        name: of the queue.
        ahead: how many jobs stand before it in its queue or lane; None if it is not among the first `looked_at`.
        looked_at: how many were looked at.
        queued: how many jobs stand in the queue or lane.
        paused_at: since when the queue is paused; None if it is not.
        is_suspended: an RQ client has suspended all workers.
        unserved: what is said of a queue that nobody serves; None if somebody does.
        workers: those that serve the queue, are alive and take jobs.
        silent_workers: those that serve the queue, are registered, and have not been heard of lately.
        module_problem: why managers cannot use the module of the job's function; None if they can.
        scaler: None if it is not known, or not shown to the caller.
        lane: None if the job waits in the queue itself.
    """

    name: str
    ahead: int | None
    looked_at: int
    queued: int
    paused_at: str | None
    is_suspended: bool
    unserved: str | None
    workers: Sequence[WorkerView]
    module_problem: str | None
    scaler: ScalerFacts | None
    lane: LaneFacts | None = None
    silent_workers: Sequence[WorkerView] = ()


@dataclass(frozen=True, slots=True)
class RateLimitFacts:
    """The rate limit of a job of a plain RQ client.

    Attributes:
        places: how many of its jobs can be queued or run at a time; None if that is not known.
        held: how many are.
        waiting: how many wait for a place.
    """

    key: str
    places: int | None
    held: int
    waiting: int


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is known of one job.

    Attributes:
        now: Unix time, by the clock of the job's Redis server.
        enqueued_at: when it was queued last, a Unix time.
        due_at: when a scheduled job is due, a Unix time.
        started_at: when its last run began, a Unix time.
        lease_seconds: for how long its worker still holds it; None if there is no lease, as with plain RQ workers.
        losses: how often it was lost with its worker.
        is_canceled: it runs and is to be stopped.
        parents: those that a deferred job still waits for.
        queue: of a queued job.
        rate_limit: of a job that waits for a place of one.
        repeats_left: how often a job of a plain RQ client runs again after its next success; None if it never repeats.
    """

    job: JobView
    now: float
    enqueued_at: float | None = None
    due_at: float | None = None
    started_at: float | None = None
    lease_seconds: float | None = None
    losses: int = 0
    is_canceled: bool = False
    parents: Sequence[Parent] = ()
    queue: QueueFacts | None = None
    rate_limit: RateLimitFacts | None = None
    repeats_left: int | None = None
