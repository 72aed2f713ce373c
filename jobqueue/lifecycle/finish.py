"""Records how jobs ended, whole batches at a time. A lease that is gone records nothing."""

import json
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.model import ClaimedJob, FailureReason
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument, iso

FINISH_LIMIT = 1000
"""Most successes that one script call records: Lua's stack holds no more than some thousand values."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that succeeded.

    Attributes:
        function: public name, counted by.
        seconds: how long it ran.
        value: the serialised result in base64, as RQ keeps it.
        recorded: whether an execution record was written for it.
    """

    job: ClaimedJob
    function: str
    seconds: float
    value: bytes
    has_execution_record: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that did not succeed; it runs again where it has retries left, and `final` is not said.

    Attributes:
        trace: traceback or message; its last line is the message.
    """

    job: ClaimedJob
    function: str
    seconds: float
    reason: FailureReason
    traceback: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Retried:
    """A job whose function returned `rq.Retry`, given by its three fields; `value` is that object, serialised."""

    job: ClaimedJob
    function: str
    seconds: float
    max_retries: int
    intervals: tuple[int, ...]
    at_front: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Stopped:
    """A job that was ended because somebody cancelled it."""

    job: ClaimedJob
    function: str
    seconds: float


Outcome = Finished | Failed | Retried | Stopped


@dataclass(frozen=True, slots=True)
class FinishReport:
    """What recording came to.

    Attributes:
        lost: ids whose lease was gone: nothing was recorded for them.
        dependents: ids of ended jobs that other jobs wait for.
        again: ids that will run again.
    """

    lost: tuple[str, ...]
    dependents: tuple[str, ...]
    retried: tuple[str, ...]


async def finish(
    shard: Shard, worker: str, outcomes: Sequence[Outcome], *, now: float | None = None, retry_seconds: float = 0.0
) -> FinishReport:
    """Records the outcomes of jobs of `shard` that `worker` holds.

    Raises:
        ShardUnavailable: a repeat is safe: what was recorded is found as `lost` then, and changes nothing.
    """
    succeeded = [outcome for outcome in outcomes if isinstance(outcome, Finished)]
    others = [outcome for outcome in outcomes if not isinstance(outcome, Finished)]
    lost: list[bytes] = []
    dependents: list[bytes] = []
    again: list[bytes] = []
    for start in range(0, len(succeeded), FINISH_LIMIT):
        arguments = _finish_arguments(worker, succeeded[start : start + FINISH_LIMIT], now)
        answer = await shard.run(script("finish"), *arguments, retry_seconds=retry_seconds)
        lost += answer[0]
        dependents += answer[1]
    if others:
        answer = await shard.run(script("fail"), *_fail_arguments(worker, others, now), retry_seconds=retry_seconds)
        lost += answer[0]
        dependents += answer[1]
        again += answer[2]
    return FinishReport(_texts(lost), _texts(dependents), _texts(again))


def encode_traceback(traceback: str) -> bytes:
    """A traceback as RQ keeps it in a result (rq.results.Result.serialize)."""
    return b64encode(zlib.compress(traceback.encode()))


def _finish_arguments(worker: str, outcomes: Sequence[Finished], now: float | None) -> list[str | bytes | int]:
    groups: dict[tuple[str, str, str, int, int, int], list[int]] = {}
    for place, outcome in enumerate(outcomes):
        job = outcome.job
        shared = (
            job.queue,
            job.token,
            outcome.function,
            job.result_ttl_seconds,
            int(job.feed),
            int(outcome.has_execution_record),
        )
        groups.setdefault(shared, []).append(place)
    arguments: list[str | bytes | int] = [clock_argument(now), iso(now), worker]
    for (queue, token, function, *flags), places in groups.items():
        seconds = sum(outcomes[place].seconds for place in places)
        arguments += (queue, token, function, f"{seconds:.6f}", *flags, len(places))
        for place in places:
            arguments += (outcomes[place].job.id, outcomes[place].value, place)
    return arguments


def _fail_arguments(
    worker: str, outcomes: Sequence[Failed | Retried | Stopped], now: float | None
) -> list[str | bytes | int]:
    arguments: list[str | bytes | int] = [clock_argument(now), iso(now), worker]
    for outcome in outcomes:
        job = outcome.job
        arguments += (job.id, job.token, job.queue, outcome.function)
        match outcome:
            case Failed():
                kind = "final" if outcome.final or outcome.reason is FailureReason.REJECTED else "failed"
                arguments += (
                    kind,
                    outcome.reason,
                    encode_traceback(outcome.traceback),
                    job.failure_ttl_seconds,
                    "",
                    "",
                    "[]",
                    "",
                )
            case Stopped():
                trace = encode_traceback("stopped: the job was cancelled while it ran")
                arguments += ("stopped", "", trace, job.failure_ttl_seconds, "", "", "[]", "")
            case Retried():
                trace = encode_traceback(f"gave up after {outcome.max_retries} returned retries")
                arguments += (
                    "retry",
                    FailureReason.EXCEPTION,
                    trace,
                    job.failure_ttl_seconds,
                    outcome.value,
                    outcome.max_retries,
                )
                arguments += (json.dumps(outcome.intervals), int(outcome.at_front))
    return arguments


def _texts(ids: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(job_id.decode() for job_id in ids)
