"""The response body of `GET /jobs/{id}/explain`."""

from pydantic import BaseModel, ConfigDict, Field

from jobqueue.model import Status


class JobExplanation(BaseModel):
    """Why a job does not run. Further members are the numbers of the sentence; they depend on the reason."""

    model_config = ConfigDict(extra="allow")

    id: str
    status: Status | None = Field(description="null if the job's shard does not answer")
    reason: str = Field(description="A word for programs, such as `queue_paused` or `slots_busy`")
    sentence: str = Field(description="The same for people")
