"""Request and response bodies of the scaler's routes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from manager.schemas.json_types import WholeNumber

MAX_WORKERS = 100_000

Workers = Annotated[int, Field(ge=0, le=MAX_WORKERS), WholeNumber]


class LimitsBody(BaseModel):
    """Limits to set. Null restores the managers' setting; a limit that is left out stays as it is.

    A `min_workers` above the maximum is refused. If `max_workers` is set below the minimum, the maximum applies.
    A budget needs WORKMANAGER_PRICE_PER_HOUR.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    min_workers: Workers | None = None
    max_workers: Workers | None = None
    budget_per_hour: float | None = Field(default=None, ge=0, le=1e9)


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScalerLimits(_Response):
    """The limits in force; `budget_per_hour` is null if there is none."""

    min_workers: int
    max_workers: int
    budget_per_hour: float | None


class ScalerObservation(_Response):
    """What the leader last observed, and the reason for its decision."""

    at: float
    fleet: str
    reason: str
    numbers: dict[str, float]


class ScalerInstance(_Response):
    """An instance of the fleet; `state` is booting, idle, busy, draining, lost (its worker is silent) or ending."""

    id: str
    state: str
    age_seconds: float
    boot_seconds: float | None
    type: str
    zone: str
    market: str
    running: int
    jobs: list[str] = Field(description="As in `GET /workers`: jobs that its worker has run for more than a second")
    interruption: str
    reason: str


class ScalerDecision(_Response):
    """A decision that launched or drained workers, or the first of a series of equal ones that did neither."""

    at: float
    epoch: int
    launch: int
    drain: int
    reason: str
    numbers: dict[str, float]


class LaunchBreakerState(_Response):
    """The circuit breaker for launches: until when each capacity pool and all launches are held back, and why."""

    cooldowns: dict[str, float]
    not_before: float
    failed_boots: int
    last_failure: str


class ScalerResponse(_Response):
    """The scaler. Times are Unix times in seconds. `leader` is null if no manager acts."""

    leader: str | None
    epoch: int | None
    paused: bool
    limits: ScalerLimits
    observation: ScalerObservation | None
    pending_launches: int = Field(description="Instances that launches with unknown outcome may have started")
    launch_breaker: LaunchBreakerState
    cost_per_hour: float | None = Field(description="Of the instances; null if their price is not configured")
    instances: list[ScalerInstance]
    decisions: list[ScalerDecision] = Field(description="Latest first")


class ScalerOverrides(_Response):
    """The operator's overrides in force."""

    paused: bool
    limits: ScalerLimits
