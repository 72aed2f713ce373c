"""Workflows: graphs of jobs that are submitted as a whole, on one shard (docs/decisions/0027).

A workflow is written in steps: its record, its jobs (all `deferred`), and last its state `open`. Until it is open none
of its jobs runs (settle_parents.lua), and nothing of it remains if its manager dies before (`abandon`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any

from jobqueue import keys
from jobqueue.json_text import json_object
from jobqueue.lifecycle.control import CancelResult, cancel, delete, requeue
from jobqueue.lifecycle.dependencies import register, settle
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.model import ENDED, FAILURE_TTL_SECONDS, NewJob, is_over
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import text_of
from jobqueue.timestamps import clock_argument, iso

WORKFLOW_TTL_SECONDS = 2 * FAILURE_TTL_SECONDS
JOBS_PER_CALL = 500
FINALLY = "finally"
"""Local name of the job that runs when all others have ended."""
WRITING, OPEN, ABANDONED = "writing", "open", "abandoned"


@dataclass(frozen=True, slots=True)
class Member:
    """A job of a workflow.

    Attributes:
        parents: pairs of the local name, or id, of a job that it waits for, and what it awaits.
    """

    id: str
    function: str
    queue: str
    parents: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A graph of jobs.

    Attributes:
        members: by local name.
        created_at: ISO 8601 in UTC.
    """

    id: str
    members: Mapping[str, Member]
    created_at: str
    state: str = WRITING


class WorkflowConflict(Exception):
    """Another workflow has this id, or it was abandoned, because it took too long to write."""


async def submit_workflow(
    shards: Shards, workflow: Workflow, jobs: Sequence[NewJob], *, now: float | None = None
) -> bool:
    """Write a workflow as a whole. A repeat with the same content changes nothing.

    Args:
        jobs: its jobs, with ids on the workflow's own shard, `depends_on` and `workflow_id`.

    Returns:
        Whether it is new.

    Raises:
        WorkflowConflict: see there.
        ShardUnavailable, QueueFull: nothing of it runs, unless `outcome_unknown`; a repeat is safe.
    """
    shard = shards.of(workflow.id)
    encoded = json.dumps({name: astuple(member) for name, member in workflow.members.items()}, separators=(",", ":"))
    digest = blake2b(repr([content_of(job) for job in jobs]).encode(), digest_size=16).hexdigest()
    fields = ("members", encoded, "created_at", workflow.created_at, "digest", digest)
    state, known_digest = await _change(shard, workflow.id, "", WRITING, *fields)
    if state == ABANDONED:
        raise WorkflowConflict(f"workflow {workflow.id} was abandoned, because it took too long to write")
    if state and known_digest != digest:
        raise WorkflowConflict(f"workflow {workflow.id} was submitted before with different content")
    if state == OPEN:
        return False
    for start in range(0, len(jobs), JOBS_PER_CALL):
        outcomes = await enqueue(shard, jobs[start : start + JOBS_PER_CALL], now=now)
        if any(outcome not in (EnqueueOutcome.WRITTEN, EnqueueOutcome.REPEATED) for outcome in outcomes):
            raise WorkflowConflict(f"a job of workflow {workflow.id} has the id of another job")
    if (await _change(shard, workflow.id, WRITING, OPEN))[0] == ABANDONED:
        raise WorkflowConflict(f"workflow {workflow.id} was abandoned, because it took too long to write")
    await register(shards, shard, [job.id for job in jobs], now=now)
    return True


async def read_workflow(shards: Shards, workflow_id: str) -> Workflow | None:
    """Return a workflow, or None if there is none with this id.

    Raises:
        ShardUnavailable: its shard is unavailable.
    """
    shard = shards.of(workflow_id)
    key = keys.workflow(shard.prefix, workflow_id)
    (reply,) = await shard.execute(("HMGET", key, "members", "created_at", "state"), tolerate_wrong_types=True)
    encoded, created_at, state = reply or (None, None, None)
    members = _stored_members(encoded)
    if not members or state != OPEN.encode():
        return None
    return Workflow(workflow_id, members, text_of(created_at or b""), text_of(state))


async def read_member_statuses(shards: Shards, workflow: Workflow) -> dict[str, str | None]:
    """Return the status of each member by its local name; None for one whose record has ended.

    Raises:
        ShardUnavailable: the workflow's shard is unavailable.
    """
    shard = shards.of(workflow.id)
    names = list(workflow.members)
    statuses: list[bytes | None] = []
    for start in range(0, len(names), JOBS_PER_CALL):
        part = [workflow.members[name].id for name in names[start : start + JOBS_PER_CALL]]
        commands = [("HGET", keys.job(shard.prefix, id_), "status") for id_ in part]
        statuses += await shard.execute(*commands, tolerate_wrong_types=True)
    return {name: None if status is None else text_of(status) for name, status in zip(names, statuses, strict=True)}


async def cancel_workflow(shards: Shards, workflow: Workflow) -> dict[str, int]:
    """Cancel all jobs of a workflow that have not ended, but for the one that runs when all others have.

    Returns:
        How many there are of each outcome of `control.cancel`.

    Raises:
        ShardUnavailable: try again.
    """
    statuses = await read_member_statuses(shards, workflow)
    members = [
        workflow.members[name]
        for name, status in statuses.items()
        if name != FINALLY and status is not None and not is_over(status)
    ]
    shard = shards.of(workflow.id)
    results: list[CancelResult] = []
    for ids, queues in _parts(members):
        results += await cancel(shard, ids, queues)
    await settle(shard, shards)
    outcomes = [result.outcome for result in results]
    return {outcome: outcomes.count(outcome) for outcome in ("canceled", "stopping")}


async def retry_workflow(shards: Shards, workflow: Workflow) -> int:
    """Run again what did not finish: jobs that failed, were stopped or canceled, and those that waited for them.

    After them, the job runs that waits for the end of all others.

    Returns:
        Number of jobs that were requeued; those that come back with them are not counted.

    Raises:
        ShardUnavailable: try again.
    """
    shard = shards.of(workflow.id)
    statuses = await read_member_statuses(shards, workflow)
    members = [
        workflow.members[name]
        for name, status in statuses.items()
        if name != FINALLY and status in ("failed", "stopped", "canceled")
    ]
    answers: list[str] = []
    for ids, queues in _parts(members):
        answers += await requeue(shard, ids, queues)
    await settle(shard, shards)
    last = workflow.members.get(FINALLY)
    is_ended = last is not None and is_over(statuses[FINALLY] or "canceled")
    if last is not None and is_ended and members:
        others = [member.id for name, member in workflow.members.items() if name != FINALLY]
        await shard.run(script("wait_again"), clock_argument(None), last.id, ENDED, *others, replicate=True)
        await register(shards, shard, [last.id])
    await _change(shard, workflow.id, OPEN, OPEN)
    return len(answers) - answers.count("dependency_failed") - answers.count("missing")


async def abandon(shards: Shards, shard: Shard, workflow_id: str) -> bool:
    """Delete a workflow that is still being written, with its jobs; return whether it was.

    Raises:
        ShardUnavailable: try again.
    """
    state, _ = await _change(shard, workflow_id, WRITING, ABANDONED)
    if state not in (WRITING, ABANDONED):
        return False
    key = keys.workflow(shard.prefix, workflow_id)
    (encoded,) = await shard.execute(("HGET", key, "members"))
    for ids, queues in _parts(list(_stored_members(encoded).values())):
        await delete(shard, ids, queues)
    return True


def _parts(members: Sequence[Member]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield ids and queues of jobs, some at a time. In another queue, an id is that of a job of somebody else."""
    for start in range(0, len(members), JOBS_PER_CALL):
        part = members[start : start + JOBS_PER_CALL]
        yield [member.id for member in part], [member.queue for member in part]


def _stored_members(encoded: bytes | None) -> dict[str, Member]:
    """Return the jobs in a workflow's record; none if they cannot be read."""
    members = {}
    try:
        for name, (id_, function, queue, parents) in (json_object(encoded) or {}).items():
            pairs = tuple((str(parent), str(awaited)) for parent, awaited in parents)
            members[name] = Member(str(id_), str(function), str(queue), pairs)
    except (ValueError, TypeError):
        return {}
    return members


def content_of(job: NewJob) -> list[tuple[str, Any]]:
    """Return the fields by which a repeated job is the same: those that differ from their defaults.

    So a version that has more of them finds what an earlier one has written to be the same.
    """
    fields = job._replace(due_at=None, trace=None)._asdict()
    return [(name, value) for name, value in fields.items() if value != NewJob._field_defaults.get(name, ...)]


async def _change(shard: Shard, workflow_id: str, before: str, after: str, *fields: str) -> tuple[str, str]:
    """Return the state in which the workflow was, and the digest of its content."""
    answer: Any = await shard.run(
        script("change_workflow"), workflow_id, before, after, WORKFLOW_TTL_SECONDS, *fields, replicate=True
    )
    return text_of(answer[0]), text_of(answer[1])


def new_workflow(workflow_id: str, members: Mapping[str, Member], now: float | None = None) -> Workflow:
    """Return a workflow that is to be written."""
    return Workflow(workflow_id, members, iso(now))
