"""A job as `POST /jobs` takes it, and many of them as `POST /jobs/batch` does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Required, TypedDict

_BATCH_JOBS = 500
_BATCH_BYTES = 512 * 1024


class RetryOptions(TypedDict, total=False):
    """`max`: retries after the first run; `intervals`: seconds before each, the last one for all further."""

    max: Required[int]
    intervals: Sequence[int]


class UniqueOptions(TypedDict):
    """Refuse another job with the same `key` for `within` seconds."""

    key: str
    within: int


class JobOptions(TypedDict, total=False):
    """The fields of a job besides its function; what is left out is the manager's default."""

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
    feed: bool  # False: kept out of the results that are pulled
    meta: Mapping[str, Any]


class Submission(JobOptions, total=False):
    """A whole job."""

    function: Required[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of NDJSON, and whether each one's job has an id, so that it may be repeated."""

    lines: tuple[bytes, ...]
    has_id: tuple[bool, ...]

    def subset(self, indexes: Sequence[int]) -> Batch:
        """Those of its lines."""
        return Batch(tuple(self.lines[place] for place in indexes), tuple(self.has_id[place] for place in indexes))


def job_json(submission: Submission) -> dict[str, Any]:
    """The JSON object of a job: its data in base64."""
    fields: dict[str, Any] = {name: value for name, value in submission.items() if value is not None}
    if submission.get("data") is not None:
        fields["data"] = base64.b64encode(submission["data"]).decode()
    return fields


def split_into_batches(submissions: Iterable[Submission]) -> Iterator[Batch]:
    """Requests of bounded size, in order."""
    lines: list[bytes] = []
    named: list[bool] = []
    size = 0
    for submission in submissions:
        line = json.dumps(job_json(submission), separators=(",", ":")).encode() + b"\n"
        if lines and (len(lines) == _BATCH_JOBS or size + len(line) > _BATCH_BYTES):
            yield Batch(tuple(lines), tuple(named))
            lines, named, size = [], [], 0
        lines.append(line)
        named.append("id" in submission)
        size += len(line)
    if lines:
        yield Batch(tuple(lines), tuple(named))
