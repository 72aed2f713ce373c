"""What the routes of the scaler take and answer."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_WORKERS = 100_000


def _whole(value: object) -> object:
    """JSON knows no integers: 4.0 is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Workers = Annotated[int, Field(ge=0, le=MAX_WORKERS), BeforeValidator(_whole)]


class LimitsBody(BaseModel):
    """Limits to set; null goes back to the managers' settings, what is left out stays as it is.

    Where the two contradict each other the upper one holds. A budget binds where the managers know the price.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    min_workers: Workers | None = None
    max_workers: Workers | None = None
    budget_per_hour: float | None = Field(default=None, ge=0, le=1e9)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScalerLimits(_Answer):
    """The limits that hold; `budget_per_hour` is null where there is none."""

    min_workers: int
    max_workers: int
    budget_per_hour: float | None


class ScalerObservation(_Answer):
    """What the acting manager last saw, and why it did what it did."""

    at: float
    fleet: str
    reason: str
    numbers: dict[str, float]


class ScalerInstance(_Answer):
    """An instance of the fleet; `state` is booting, idle, busy, draining, lost (its worker is silent) or ending."""

    id: str
    state: str
    age_seconds: float
    boot_seconds: float | None
    type: str
    zone: str
    market: str
    running: int
    interruption: str
    reason: str


class ScalerDecision(_Answer):
    """A decision that did something, or the first of its kind that did not."""

    at: float
    epoch: int
    launch: int
    drain: int
    reason: str
    numbers: dict[str, float]


class LaunchBreakerState(_Answer):
    """What is refrained from: offerings that are short, launches before a time, boots that failed in a row."""

    cooldowns: dict[str, float]
    not_before: float
    failed_boots: int
    last_failure: str


class ScalerResponse(_Answer):
    """The scaler. Times are epoch seconds. `leader` is null where no manager acts."""

    leader: str | None
    epoch: int | None
    paused: bool
    limits: ScalerLimits
    observation: ScalerObservation | None
    pending_launches: int = Field(description="Instances that may come of launches whose answer is not known")
    launch_breaker: LaunchBreakerState
    instances: list[ScalerInstance]
    decisions: list[ScalerDecision] = Field(description="The latest first")


class ScalerOverrides(_Answer):
    """What holds from now on."""

    paused: bool
    limits: ScalerLimits
