"""Request bodies: one job for `POST /jobs`, many for `POST /jobs/batch`."""

import base64
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Required, TypedDict

from workmanager.http.json_body import json_bytes

MAX_BATCH_JOBS = 500
MAX_BATCH_BYTES = 512 * 1024


class RetryOptions(TypedDict, total=False):
    """`max`: retries after the first run; `intervals`: seconds before each retry, the last one for all further."""

    max: Required[int]
    intervals: Sequence[int]


class UniqueOptions(TypedDict):
    """Refuse another job with the same `key` for `within` seconds."""

    key: str
    within: float


class DependencyOptions(TypedDict, total=False):
    """A job to wait for: until it has `finished` (the default), or `ended` in any way."""

    id: Required[str]
    when: Literal["finished", "ended"]


class CallbackOptions(TypedDict, total=False):
    """Tell `url` (or `listen:NAME`) of the job's end: with one of `events`, and with what `include` names."""

    url: Required[str]
    events: Sequence[Literal["finished", "failed", "stopped", "canceled"]]  # default: all of them
    include: Sequence[Literal["result"]]


class LimitOptions(TypedDict, total=False):
    """How many jobs with the same `key` run at a time (`concurrency`), or begin in a time (`rate`: `100/1m`)."""

    key: Required[str]
    concurrency: int
    rate: str
    burst: int


class CallOptions(TypedDict, total=False):
    """The fields of a job besides its function and the arguments. The manager has defaults; None is as good as none."""

    id: str | None  # 1 to 64 letters, digits, '_', '-'
    queue: str | None
    order: Literal["fifo", "lifo"] | None
    timeout: int | None  # seconds
    retry: RetryOptions | None
    unique: UniqueOptions | None
    delay: float | None  # seconds from now
    at: datetime | str | None  # with a time zone; as text in the form of RFC 3339
    result_ttl: int | None  # seconds
    feed: bool | None  # False: the result cannot be pulled, only read at /jobs/{id}
    isolation: Literal["job"] | None  # run in a process of its own
    depends_on: Sequence[str | DependencyOptions] | None  # jobs to wait for, which must exist
    callback: CallbackOptions | None
    callback_url: str | None  # short for a callback with this URL alone
    limits: Sequence[LimitOptions] | None  # run only while each allows it
    fair_key: str | None  # jobs with different ones take turns
    labels: Mapping[str, str] | None  # at most 8, to find the job by
    meta: Mapping[str, Any] | None


class JobOptions(CallOptions, total=False):
    """The fields of a job besides its function."""

    args: Sequence[Any] | None
    kwargs: Mapping[str, Any] | None
    data: bytes | str | None  # the keyword argument `data` of a function marked binary: bytes, or their base64 text


class Submission(JobOptions, total=False):
    """A whole job."""

    function: Required[str]


class Batch(NamedTuple):
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


def job_json(submission: Submission) -> bytes:
    """Return a job as one line of JSON, with its data in base64.

    Raises:
        UsageError: JSON has no form for a value, such as a set or NaN.
    """
    fields: dict[str, Any] = {name: value for name, value in submission.items() if value is not None}
    if isinstance(data := fields.get("data"), bytes | bytearray | memoryview):
        fields["data"] = base64.b64encode(data).decode()
    if isinstance(at := fields.get("at"), datetime):
        fields["at"] = at.isoformat()
    return json_bytes(fields, "the job")


def has_id(submission: Submission) -> bool:
    """Return whether the job has an id, so that it is safe to send it twice."""
    return submission.get("id") is not None


def split_into_batches(submissions: Iterable[Submission]) -> Iterator[Batch]:
    """Yield batches of at most `MAX_BATCH_JOBS` and, unless one job is larger, `MAX_BATCH_BYTES`; in order."""
    lines: list[bytes] = []
    with_id: list[bool] = []
    size_bytes = 0
    for submission in submissions:
        line = job_json(submission) + b"\n"
        if lines and (len(lines) == MAX_BATCH_JOBS or size_bytes + len(line) > MAX_BATCH_BYTES):
            yield Batch(tuple(lines), tuple(with_id))
            lines, with_id, size_bytes = [], [], 0
        lines.append(line)
        with_id.append(has_id(submission))
        size_bytes += len(line)
    if lines:
        yield Batch(tuple(lines), tuple(with_id))


def new_id() -> str:
    """Return a random Work ID: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def with_id(submission: Submission) -> Submission:
    """Give the job an id, so that sending it twice creates it once. A job with a unique key cannot have one."""
    if has_id(submission) or submission.get("unique") is not None:
        return submission
    return {**submission, "id": new_id()}
