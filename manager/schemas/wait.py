"""Request and response bodies of `POST /jobs/wait`."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.model import Status
from manager.queue.long_poll import ANSWER_SECONDS, MAX_WAIT_SECONDS
from manager.schemas.json_types import null_is_default

MAX_JOBS = 10_000

# The check of `_check_together`, in the OpenAPI document's terms.
_BOTH: dict[str, Any] = {"required": ["any", "all"], "properties": {"any": {"const": True}, "all": {"const": True}}}


_Timeout = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS)]


class WaitBody(BaseModel):
    """The jobs to wait for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra={"not": _BOTH})

    ids: list[Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,256}$")]] = Field(
        min_length=1, max_length=MAX_JOBS, description="One that is given twice counts once"
    )
    any: bool | None = Field(default=None, description="Answer when one of the jobs has ended")
    all: bool | None = Field(default=None, description="Answer when all of them have ended: the default")
    timeout: Annotated[_Timeout, null_is_default(_Timeout)] = Field(
        default=ANSWER_SECONDS,
        description=f"Seconds to wait; the answer comes after {ANSWER_SECONDS} at the latest",
    )

    @model_validator(mode="after")
    def _check_together(self) -> "WaitBody":
        if self.any and self.all:
            raise PydanticCustomError("any_all", "give either `any` or `all`")
        return self


class WaitedJobs(BaseModel):
    """What the jobs are now."""

    model_config = ConfigDict(extra="forbid")

    done: bool = Field(description="Whether one of the jobs has ended, or all of them, as was asked")
    statuses: dict[str, Status | None] = Field(
        description="By id; null for a job that does not exist, which counts as ended"
    )
