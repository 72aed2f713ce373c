"""Protocol between the agent and an executor process: what they tell each other.

- First socket pair: the agent sends lists of `Task`, to be run in that order; the executor answers each with a
  `TaskReport`, before it begins the next one. Its first message is its key (`frames.py`): it is ready then.
- Second socket pair: a running job queries its own record with a `Query`; the agent answers `[number, ok, value]`.
- `status_page.py`: what both must know at once, without a message.

The agent is trusted: a frame of its is four bytes of length (big-endian) and a msgpack list. Jobs are not. They run in
the executor's process and can send and write whatever they like, so the agent checks each message (`slots/reports.py`)
and unpickles none.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]  # It has no types.

LENGTH = struct.Struct(">I")
MAX_REPORT_BYTES = 3 << 19
"""Of a report: a result of 1 MiB takes a third more in base64."""
MAX_TEXT_CHARS = 1 << 18
"""Of a traceback or message."""
MAX_NAME_CHARS = 200
"""How much is shown of a name that a record gives and that is not registered."""
MAX_PATH_CHARS = 4096
"""Of a registered function's name."""
MAX_RETRY_NUMBER, MAX_RETRY_INTERVALS = 1_000_000_000, 1000
"""Maximum for the number of retries that a function asks for and for the seconds before one (32 years), and how many
such intervals it may give."""
MAX_META_BYTES = 1 << 20
"""Of the `meta` that a running job saves."""
MAX_FIELD_CHARS = 200
MAX_QUERY_BYTES = MAX_META_BYTES + 4096
MAX_PENDING_QUERIES = 16
"""A job that was interrupted while it waited for an answer may ask again before that answer arrives."""
SOURCES_CHANGED_EXIT_CODE, NOT_RESTORED_EXIT_CODE = 75, 76
RECYCLING_REASONS = {SOURCES_CHANGED_EXIT_CODE: "functions_changed", NOT_RESTORED_EXIT_CODE: "not_restored"}
"""Why an executor ends itself between two jobs, by its exit code: the source of its functions has changed; or it cannot
undo what a job has changed in it, and the status page tells, in place of a function's name, what that is."""
WRITABLE_FIELDS = frozenset({"meta"})
"""Fields of its own record that a running job may write."""


STREAMS = ("stdout", "stderr")
OutputRange = tuple[int, int, int, int]
"""Where a job's output begins and ends in the bytes of standard output, and of standard error, of its executor."""


class Task(NamedTuple):
    """A job as the executor receives it.

    Attributes:
        sequence: number of the task within its slot, counted from 1.
        data: RQ's field of that name.
        isolated: whether the job asks for a process of its own.
        callbacks: a plain RQ client's `on_success`, `on_failure` and `on_stopped`, each as `[import path, timeout]` or
            None, and the job's own timeout (-1 for none), all in seconds; None for a job without any.
        stopped: whether the job itself has been stopped already: only `on_stopped` is to be called.
        trace: the span of the run (`TraceContext.text`); None if it is not traced.
        abandoned: whether the job was lost with its worker too often: only `on_failure` is to be called.
    """

    sequence: int
    job_id: str
    data: bytes
    from_http: bool
    isolated: bool = False
    callbacks: Sequence[Any] | None = None
    stopped: bool = False
    trace: str | None = None
    abandoned: bool = False


class TaskOutcome(IntEnum):
    """How a task ended. LOST: the process of its own in which it ran has died. TIMEOUT: its executor has ended it."""

    FINISHED = 0
    FAILED = 1
    REJECTED = 2
    RETRY = 3
    WITHDRAWN = 4
    LOST = 5
    TIMEOUT = 6


class TaskReport(NamedTuple):
    """An executor's report on one task.

    Attributes:
        function: public name of a registered function; otherwise the path in the record, or '' if the record could not
            be read.
        seconds: run time.
        body: serialised result in base64 (FINISHED, RETRY), or traceback or text (FAILED, TIMEOUT, REJECTED, LOST).
        detail: FAILED, TIMEOUT: whether the failure is permanent. RETRY: `[max, intervals, at_front]`.
        version: hash of the source of the function's module; '' for a built-in function, or if it was not imported.
        output: an `OutputRange`; None if the job has printed nothing.
    """

    sequence: int
    outcome: TaskOutcome
    function: str
    seconds: float
    body: bytes | str
    detail: Any
    version: str = ""
    output: Sequence[int] | None = None


class Query(NamedTuple):
    """A running job's query about its own record.

    Attributes:
        number: tells the answers apart.
        sequence: the job's task.
        operation: `hget`, `hgetall` or `hset`; `parents` and `parent`: the ids of the jobs that it has waited for, and
            the result of the one named in `field`; `progress` and `log`: what the job tells of itself, in `value`;
            `park`: no job begins under the limit named in `field` for the seconds in `value`.
        field, value: '' and b'' if the operation has none.
    """

    number: int
    sequence: int
    operation: str
    field: str
    value: bytes


def pack(messages: Sequence[Any]) -> bytes:
    """Return one frame of the agent's."""
    payload: bytes = msgpack.packb(messages)
    return LENGTH.pack(len(payload)) + payload
