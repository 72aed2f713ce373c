"""Request bodies: one job for `POST /jobs`, many for `POST /jobs/batch`."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Required, TypedDict

MAX_BATCH_JOBS = 500
MAX_BATCH_BYTES = 512 * 1024


class RetryOptions(TypedDict, total=False):
    """`max`: retries after the first run; `intervals`: seconds before each retry, the last one for all further."""

    max: Required[int]
    intervals: Sequence[int]


class UniqueOptions(TypedDict):
    """Refuse another job with the same `key` for `within` seconds."""

    key: str
    within: int


class JobOptions(TypedDict, total=False):
    """The fields of a job besides its function. The manager has defaults for all of them."""

    id: str  # 1 to 64 letters, digits, '_', '-'
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    data: bytes  # the keyword argument `data` of a function marked binary
    queue: str
    order: Literal["fifo", "lifo"]
    timeout: int  # seconds
    retry: RetryOptions
    unique: UniqueOptions
    delay: float  # seconds from now
    at: str  # ISO 8601
    result_ttl: int  # seconds
    feed: bool  # False: the result cannot be pulled, only read at /jobs/{id}
    meta: Mapping[str, Any]


class Submission(JobOptions, total=False):
    """A whole job."""

    function: Required[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """The body of one `POST /jobs/batch`.

    Attributes:
        lines: of NDJSON, one job each.
        has_id: whether the job of each line has an id, so that it is safe to send it again.
    """

    lines: tuple[bytes, ...]
    has_id: tuple[bool, ...]

    def subset(self, indexes: Sequence[int]) -> "Batch":
        """Return a batch of these lines only."""
        return Batch(tuple(self.lines[index] for index in indexes), tuple(self.has_id[index] for index in indexes))


def job_json(submission: Submission) -> dict[str, Any]:
    """Return the JSON object of a job, with its data in base64."""
    fields: dict[str, Any] = {name: value for name, value in submission.items() if value is not None}
    if submission.get("data") is not None:
        fields["data"] = base64.b64encode(submission["data"]).decode()
    return fields


def split_into_batches(submissions: Iterable[Submission]) -> Iterator[Batch]:
    """Yield batches of at most `MAX_BATCH_JOBS` and, unless one job is larger, `MAX_BATCH_BYTES`; in order."""
    lines: list[bytes] = []
    has_id: list[bool] = []
    size_bytes = 0
    for submission in submissions:
        line = json.dumps(job_json(submission), separators=(",", ":")).encode() + b"\n"
        if lines and (len(lines) == MAX_BATCH_JOBS or size_bytes + len(line) > MAX_BATCH_BYTES):
            yield Batch(tuple(lines), tuple(has_id))
            lines, has_id, size_bytes = [], [], 0
        lines.append(line)
        has_id.append("id" in submission)
        size_bytes += len(line)
    if lines:
        yield Batch(tuple(lines), tuple(has_id))
