"""The body of `POST /ackCompleted`."""

from pydantic import BaseModel, ConfigDict, Field

MAX_RESULTS = 10_000
"""Limit of results in one pull or acknowledgement."""


class AcknowledgeBody(BaseModel):
    """The Work IDs of results to acknowledge."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[str] = Field(max_length=MAX_RESULTS)
