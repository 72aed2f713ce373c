"""Passes commands of plain RQ clients (`rq.command`) on to our workers.

RQ publishes them on a channel for each worker. Managers subscribe to all of those, so that no worker holds a connection
for it: our workers get their commands through a list that they read anyway. All managers hear a command, and the first
passes it on.
"""

import hashlib
import json
import logging

from jobqueue import keys
from jobqueue.acl import CLUSTER_PREFIX
from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of
from jobqueue.workers.messages import WorkerCommand, send_command

SAME_COMMAND_SECONDS = 1
"""A command that is repeated within this time is taken for one that another manager has heard."""

log = logging.getLogger(__name__)


async def pass_on_rq_commands(shard: Shard) -> None:
    """Pass on commands to our workers until cancelled. Those that are sent while the shard is unavailable are lost."""
    # A Redis user may subscribe to the pattern alone that its rights name, which stands for all shards of a cluster.
    pattern = keys.pubsub(CLUSTER_PREFIX if shard.clustered else shard.prefix, "*")
    own = keys.pubsub(shard.prefix, "").encode()
    backoff = Backoff("rq_commands", shard.prefix)
    while True:
        try:
            async with shard.subscription(pattern) as messages:
                backoff.succeeded()
                async for channel, content in messages:
                    if channel.startswith(own):
                        await _pass_on(shard, name_of(channel.removeprefix(own)), content)
        except JobQueueError as error:
            await backoff.failed(error)


async def _pass_on(shard: Shard, worker: str, content: bytes) -> None:
    try:
        command, execution = _parse(content)
    except ValueError as error:
        log.warning("event=command_unreadable shard=%s worker=%s error=%r", shard.prefix, worker, str(error))
        return
    if command is None:
        return
    digest = hashlib.sha256(content).hexdigest()[:16]
    # A plain RQ worker hears RQ's channel itself.
    is_ours, *_ = await shard.execute(("ZSCORE", keys.heartbeats(shard.prefix), worker), tolerate_wrong_types=True)
    if is_ours is None or (execution and not await _is_current(shard, command.job_id, execution)):
        return
    mark = keys.rq_command(shard.prefix, worker, digest)
    (is_first,) = await shard.execute(("SET", mark, "1", "NX", "EX", SAME_COMMAND_SECONDS))
    if is_first:
        await send_command(shard, worker, command)


async def _is_current(shard: Shard, job_id: str, execution: str) -> bool:
    """Return whether a job runs in this execution, by RQ's name for it, which is the token of our lease."""
    (token,) = await shard.execute(("HGET", keys.job(shard.prefix, job_id), "wm_lease"), tolerate_wrong_types=True)
    return token is not None and name_of(token) == execution


def _parse(content: bytes) -> tuple[WorkerCommand | None, str]:
    """Return our command for RQ's, or None if there is none for it; and the execution that it is meant for, or ''.

    Raises:
        ValueError: it is no command.
    """
    try:
        message = json.loads(content)
        verb, job_id = message["command"], str(message.get("job_id", ""))
        execution = str(message.get("execution_id", ""))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("a command of RQ is a JSON object with `command`") from error
    match verb:
        case "stop-job":
            return WorkerCommand("cancel", job_id), ""
        case "stop-execution":
            return WorkerCommand("cancel", job_id), execution or "none"
        case "kill-horse":
            return WorkerCommand("kill"), ""
        case "shutdown":
            return WorkerCommand("drain"), ""
        case _:
            return None, ""
