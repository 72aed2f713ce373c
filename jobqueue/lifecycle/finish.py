"""Record the outcomes of jobs, a whole batch per call. If a job's lease is gone, nothing is recorded for it.

Hot path: see `worker_noop` in benchmarks/README.md#what-limits-each-figure.
"""

import json
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.claimed_job import ClaimedJob
from jobqueue.model import FailureReason
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of
from jobqueue.timestamps import clock_argument, iso
from processes.wording import counted

FINISH_LIMIT = 1000
"""Maximum number of successes per script call: Lua's stack holds a few thousand values."""


@dataclass(slots=True)
class Finished:
    """A job that succeeded. Nothing changes one; making a frozen one would take three times as long.

    Attributes:
        function: public name, under which the job is counted.
        seconds: how long it ran.
        value: the serialised result in base64, as RQ stores it.
        has_execution_record: whether RQ's execution record was written for it.
        version: hash of the source of the function's module; '' for a built-in function. So in the classes below.
    """

    job: ClaimedJob
    function: str
    seconds: float
    value: bytes
    has_execution_record: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that failed. It runs again if it has retries left, unless the failure is `final`.

    Attributes:
        traceback: traceback or message; see jobqueue/error_message.py for what is shown as the message.
    """

    job: ClaimedJob
    function: str
    seconds: float
    reason: FailureReason
    traceback: str
    final: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class Retried:
    """A job whose function returned `rq.Retry`.

    Attributes:
        max_retries, intervals, at_front: the fields of that object.
        value: the object, serialised.
    """

    job: ClaimedJob
    function: str
    seconds: float
    max_retries: int
    intervals: tuple[int, ...]
    at_front: bool
    value: bytes
    version: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A job that was stopped because it was cancelled."""

    job: ClaimedJob
    function: str
    seconds: float


Outcome = Finished | Failed | Retried | Stopped


@dataclass(frozen=True, slots=True)
class FinishReport:
    """The result of recording outcomes.

    Attributes:
        lost: ids whose lease was gone: nothing was recorded for them.
        parents: ids of ended jobs that jobs of plain RQ clients depend on.
        awaited: ids of ended jobs that other jobs wait for (`dependencies.py`).
        retried: ids of jobs that will run again.
        failed: outcomes of jobs that have failed and will not run again.
    """

    lost: tuple[str, ...]
    parents: tuple[str, ...]
    retried: tuple[str, ...]
    failed: tuple[Failed | Retried, ...] = ()
    awaited: tuple[str, ...] = ()


async def finish(
    shard: Shard, worker: str, outcomes: Sequence[Outcome], *, now: float | None = None, retry_seconds: float = 0.0
) -> FinishReport:
    """Record the outcomes of jobs on one shard that `worker` holds.

    Raises:
        ShardUnavailable: a repeat is safe: jobs that were recorded are then `lost`, and nothing changes.
    """
    succeeded = [outcome for outcome in outcomes if isinstance(outcome, Finished)]
    others = [outcome for outcome in outcomes if not isinstance(outcome, Finished)]
    lost: list[bytes] = []
    parents: list[bytes] = []
    retried: list[bytes] = []
    awaited: list[bytes] = []
    failed: tuple[Failed | Retried, ...] = ()
    for start in range(0, len(succeeded), FINISH_LIMIT):
        arguments = _finish_arguments(worker, succeeded[start : start + FINISH_LIMIT], now)
        answer = await shard.run(script("finish"), *arguments, retry_seconds=retry_seconds)
        lost += answer[0]
        parents += answer[1]
        awaited += answer[2]
    if others:
        answer = await shard.run(script("fail"), *_fail_arguments(worker, others, now), retry_seconds=retry_seconds)
        lost += answer[0]
        parents += answer[1]
        retried += answer[2]
        awaited += answer[3]
        run_again_or_lost = {*_texts(answer[0]), *_texts(answer[2])}
        failed = tuple(
            outcome
            for outcome in others
            if not isinstance(outcome, Stopped) and outcome.job.id not in run_again_or_lost
        )
    return FinishReport(_texts(lost), _texts(parents), _texts(retried), failed, _texts(awaited))


def gave_up_text(outcome: Retried) -> str:
    """Return why a job failed whose function has asked for one retry too many."""
    return f"gave up after {counted(outcome.max_retries, 'retry', 'retries')} that the function asked for"


def encode_traceback(traceback: str) -> bytes:
    """Encode a traceback as RQ stores it in a result (rq.results.Result.serialize)."""
    return b64encode(zlib.compress(traceback.encode()))


def _finish_arguments(worker: str, outcomes: Sequence[Finished], now: float | None) -> list[str | bytes | int]:
    groups: dict[tuple[str, str, str, str, int, int, int, str], list[int]] = {}
    for place, outcome in enumerate(outcomes):
        job = outcome.job
        shared = (
            job.queue,
            job.token,
            outcome.function,
            outcome.version,
            job.result_ttl_seconds,
            int(job.feed),
            int(outcome.has_execution_record),
            job.rq_features,
        )
        groups.setdefault(shared, []).append(place)
    arguments: list[str | bytes | int] = [clock_argument(now), iso(now), worker]
    for (queue, token, function, version, *flags, features), places in groups.items():
        seconds = sum(outcomes[place].seconds for place in places)
        arguments += (queue, token, function, version, f"{seconds:.6f}", *flags, features, len(places))
        follow = places[-1] - places[0] == len(places) - 1
        arguments.append(places[0] if follow else "")
        for place in places:
            arguments += (outcomes[place].job.id, outcomes[place].value)
            if not follow:
                arguments.append(place)
    return arguments


def _fail_arguments(
    worker: str, outcomes: Sequence[Failed | Retried | Stopped], now: float | None
) -> list[str | bytes | int]:
    arguments: list[str | bytes | int] = [clock_argument(now), iso(now), worker]
    for outcome in outcomes:
        job = outcome.job
        retry_terms: tuple[str | bytes | int, ...] = ("", "", "[]", "")
        match outcome:
            case Failed():
                kind = "final" if outcome.final or outcome.reason is FailureReason.REJECTED else "failed"
                reason, traceback = str(outcome.reason), outcome.traceback
            case Stopped():
                kind, reason, traceback = "stopped", "", "stopped: the job was cancelled while it ran"
            case Retried():
                kind, reason = "retry", str(FailureReason.EXCEPTION)
                traceback = gave_up_text(outcome)
                intervals = json.dumps(outcome.intervals)
                retry_terms = (outcome.value, outcome.max_retries, intervals, int(outcome.at_front))
        arguments += (job.id, job.token, job.queue, outcome.function, kind, reason, encode_traceback(traceback))
        version = "" if isinstance(outcome, Stopped) else outcome.version
        arguments += (job.failure_ttl_seconds, *retry_terms, version)
    return arguments


def _texts(ids: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(map(name_of, ids))
