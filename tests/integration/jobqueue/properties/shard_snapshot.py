"""A snapshot of all jobs, queues, leases and results of a shard, to compare Redis with the model."""

from dataclasses import dataclass
from typing import Any

from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.properties.queue_model import QUEUES, QueueModel

STATUS_REGISTRIES = ("scheduled", "finished", "canceled")
"""RQ's registries that hold exactly the jobs of the status with the same name."""


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """The state of a shard.

    Attributes:
        statuses: job id -> status.
        queues: queue -> ids in order.
        leases: job id -> token of its lease.
        started: RQ's registry of started jobs, as job id -> token.
        registries: RQ's registry -> ids. The registry of failed jobs holds stopped jobs too.
        feed: ids of results ready to pull, oldest first.
        pulled: ids of results that were pulled on a lease.
        success_count: counter of successes.
    """

    statuses: dict[str, str]
    queues: dict[str, list[str]]
    leases: dict[str, str]
    started: dict[str, str]
    registries: dict[str, set[str]]
    feed: list[str]
    pulled: set[str]
    success_count: int

    @classmethod
    def of_model(cls, model: QueueModel) -> "ShardSnapshot":
        """Return the snapshot that Redis should have."""
        leases = {id_: job.token for id_, job in model.jobs.items() if job.token}
        registries = {
            status: {id_ for id_, job in model.jobs.items() if job.status == status} for status in STATUS_REGISTRIES
        }
        registries["failed"] = {id_ for id_, job in model.jobs.items() if job.status in ("failed", "stopped")}
        return cls(
            statuses={id_: job.status for id_, job in model.jobs.items()},
            queues=model.queues,
            leases=leases,
            started=leases,
            registries=registries,
            feed=sorted(model.feed, key=lambda job_id: model.feed[job_id]),
            pulled=set(model.pulled),
            success_count=model.success_count,
        )


async def read_snapshot(shard: Shard) -> ShardSnapshot:
    """Read the snapshot that Redis has."""
    prefix = shard.prefix
    names = [*STATUS_REGISTRIES, "failed", "wip"]
    commands: list[tuple[Any, ...]] = [("LRANGE", f"{prefix}:queue:{queue}", 0, -1) for queue in QUEUES]
    commands += [("ZRANGE", f"{prefix}:{name}:{queue}", 0, -1) for name in names for queue in QUEUES]
    commands += [("ZRANGE", f"{prefix}:wm:{name}", 0, -1) for name in ("leases", "feed", "feed:leases")]
    commands += [("HGET", f"{prefix}:wm:finished", "noop"), ("KEYS", f"{prefix}:job:*")]
    *replies, successes, keys = await shard.execute(*commands)
    lists = [[entry.decode() for entry in reply] for reply in replies]
    queues, lists = lists[: len(QUEUES)], lists[len(QUEUES) :]
    registries: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        registries[name] = [entry for entries in lists[number * len(QUEUES) :][: len(QUEUES)] for entry in entries]
    leases, feed, pulled = lists[-3:]
    ids = [key.decode().rpartition(":")[2] for key in keys]
    statuses = await shard.execute(*(("HGET", f"{prefix}:job:{id_}", "status") for id_ in ids)) if ids else []
    return ShardSnapshot(
        statuses={id_: status.decode() for id_, status in zip(ids, statuses, strict=True)},
        queues=dict(zip(QUEUES, queues, strict=True)),
        leases=_tokens_by_id(leases),
        started=_tokens_by_id(registries.pop("wip")),
        registries={name: set(entries) for name, entries in registries.items()},
        feed=feed,
        pulled=set(pulled),
        success_count=int(successes or 0),
    )


def _tokens_by_id(executions: list[str]) -> dict[str, str]:
    tokens = dict(entry.split(":", 1) for entry in executions)
    assert len(tokens) == len(executions), f"a job is leased twice: {executions}"
    return tokens
