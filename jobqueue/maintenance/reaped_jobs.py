"""The log lines about jobs that were taken back from lost workers."""

import logging
import re
from collections.abc import Mapping, Sequence

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.leases import RQ_WORKER_LOST, Reaped
from jobqueue.model import FailureReason
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import text_of

MAX_LOGGED_CHARS = 256

log = logging.getLogger(__name__)

_FUNCTION = re.compile(r"[\w.-]+")


async def report_reaped(shard: Shard, jobs: Sequence[Reaped], reason: str) -> None:
    """Log what became of jobs of this system's workers."""
    for job in jobs:
        log.warning(
            "event=job_reaped job_id=%s worker=%s outcome=%s reason=%s", job.job_id, job.worker, job.outcome, reason
        )
    await _report_failures(shard, {job.job_id: job.message for job in jobs if job.outcome == "failed"})


async def report_reaped_rq_jobs(shard: Shard, jobs: Sequence[tuple[str, str]]) -> None:
    """Log what became of jobs of plain RQ workers, given by id and outcome."""
    for job_id, outcome in jobs:
        log.warning("event=rq_job_reaped job_id=%s outcome=%s reason=abandoned", job_id, outcome)
    await _report_failures(shard, {job_id: RQ_WORKER_LOST for job_id, outcome in jobs if outcome == "failed"})


async def _report_failures(shard: Shard, messages: Mapping[str, str]) -> None:
    """Log each failed job, by id, as workers do for theirs: no worker is left that could."""
    if not messages:
        return
    try:
        commands = [("HGET", keys.job(shard.prefix, job_id), "description") for job_id in messages]
        descriptions = await shard.execute(*commands, tolerate_wrong_types=True)
    except ShardUnavailable:
        descriptions = [None] * len(messages)
    for (job_id, message), description in zip(messages.items(), descriptions, strict=True):
        log.warning(
            "event=job_failed job_id=%s function=%s reason=%s message=%r",
            *(job_id, _function(description), FailureReason.WORKER_LOST, message),
        )


def _function(description: bytes | None) -> str:
    """Return the function in a record's description: its public name, or RQ's text of the call, `function(1, n=2)`."""
    name = _FUNCTION.match(text_of(description or b""))
    return name[0][:MAX_LOGGED_CHARS] if name else "-"
