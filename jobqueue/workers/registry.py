"""Worker registry: workers register, send heartbeats and exit here. The records are RQ's, so RQ's tools list them."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import rq

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso
from jobqueue.workers.messages import COMMAND_TTL_SECONDS, WorkerCommand

RECORD_TTL_SECONDS = 120
"""How long the record of a silent worker is kept. Maintenance takes it off all lists after a minute, by its record."""
CLEAN_EXIT_TTL_SECONDS = 3600
"""How long a clean exit is remembered."""
FENCE_TTL_SECONDS = 86_400
"""How long a fence is kept: longer than any instance takes to terminate. Worker names are never used again."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """What a worker registers with.

    Attributes:
        slots: how many jobs it runs at a time.
        fleet: the fleet that launched it; '' if a person did.
        instance_id: its instance in that fleet.
    """

    name: str
    hostname: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    fleet: str = ""
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as users see it.

    Attributes:
        state: 'idle', 'busy' or 'draining'; plain RQ workers have RQ's states.
        running: number of jobs that it runs at the moment.
        last_heartbeat: time of its last heartbeat, as RQ writes it.
        seconds_since_heartbeat: how long ago that was by Redis' clock; None for plain RQ workers.
        native: False for plain RQ workers.
        interruption: why its instance is about to be taken away: 'spot' (it is draining), 'rebalance' (it still works),
            or ''.
    """

    name: str
    hostname: str
    pid: int
    queues: tuple[str, ...]
    state: str
    slots: int
    running: int
    finished: int
    failed: int
    fleet: str
    instance_id: str
    born_at: str | None
    last_heartbeat: str | None
    seconds_since_heartbeat: float | None
    native: bool
    interruption: str = ""


@dataclass(frozen=True, slots=True)
class WorkerHeartbeat:
    """What a worker reports every few seconds.

    Attributes:
        finished, failed, working_seconds: totals since the worker started.
        interruption: as in `WorkerView`.
    """

    state: str
    running: int
    finished: int
    failed: int
    working_seconds: float
    interruption: str = ""


async def register(shard: Shard, record: WorkerRecord) -> None:
    """List the worker on the shard.

    Raises:
        ShardUnavailable: try again.
    """
    now = iso(None)
    fields: dict[str, str | int] = {
        "birth": now,
        "last_heartbeat": now,
        "queues": ",".join(record.queues),
        "pid": record.pid,
        "hostname": record.hostname,
        "ip_address": "",
        "version": rq.__version__,
        "python_version": platform.python_version(),
        "state": "idle",
        "wm_slots": record.slots,
        "wm_fleet": record.fleet,
        "wm_instance_id": record.instance_id,
    }
    await _write_record(shard, record.name, fields, queues=record.queues, new=True)


async def send_worker_heartbeat(shard: Shard, name: str, report: WorkerHeartbeat) -> bool:
    """Keep the worker listed.

    Returns:
        False if its record is gone, so that the worker must register again.

    Raises:
        ShardUnavailable: try again.
    """
    fields: dict[str, str | int] = {
        "last_heartbeat": iso(None),
        "state": report.state,
        "wm_running": report.running,
        "successful_job_count": report.finished,
        "failed_job_count": report.failed,
        "total_working_time": f"{report.working_seconds:.6f}",
        "wm_leaving": report.interruption,
    }
    return await _write_record(shard, name, fields, queues=(), new=False)


async def unregister(shard: Shard, name: str, queues: Sequence[str]) -> None:
    """Remove the worker's record and note its clean exit: it runs no job.

    Raises:
        ShardUnavailable: maintenance takes it off the list after a minute.
    """
    await shard.run(script("unregister"), name, CLEAN_EXIT_TTL_SECONDS, *queues)


async def exited_cleanly(shard: Shard, names: Sequence[str]) -> set[str]:
    """Return those of these workers that exited cleanly within the last hour.

    Raises:
        ShardUnavailable: try again. A worker exits from the other shards too, but not at the same moment.
    """
    answers = await shard.execute(*(("EXISTS", keys.clean_exit(shard.prefix, name)) for name in names)) if names else []
    return {name for name, left in zip(names, answers, strict=True) if left}


async def fence_worker(shard: Shard, name: str) -> None:
    """Fence a worker off from the shard, for a day: its claims return nothing, and it gets a `drain` command.

    Raises:
        ShardUnavailable: try again.
    """
    drain = WorkerCommand("drain").to_json()
    await shard.run(script("fence_worker"), name, FENCE_TTL_SECONDS, drain, COMMAND_TTL_SECONDS, replicate=True)


async def list_workers(shard: Shard) -> list[WorkerView]:
    """Return all workers listed on the shard, by name.

    Raises:
        ShardUnavailable: try another shard; workers are listed on all of them.
    """
    found, native, (seconds, _) = await shard.execute(
        ("SMEMBERS", keys.workers(shard.prefix)),
        ("ZRANGE", keys.heartbeats(shard.prefix), 0, -1, "WITHSCORES"),
        ("TIME",),
    )
    if not found:
        return []
    heartbeat_ages = {
        name.decode(): max(0.0, int(seconds) - float(at)) for name, at in zip(native[::2], native[1::2], strict=True)
    }
    hashes = await shard.execute(*(("HGETALL", key) for key in found))
    views = []
    for key, flat in zip(found, hashes, strict=True):
        fields = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
        if fields:
            views.append(_view(key.decode().removeprefix(keys.worker(shard.prefix, "")), fields, heartbeat_ages))
    return sorted(views, key=lambda view: view.name)


async def _write_record(
    shard: Shard, name: str, fields: Mapping[str, str | int], *, queues: Sequence[str], new: bool
) -> bool:
    words = [word for field in fields.items() for word in field]
    arguments = ("", name, RECORD_TTL_SECONDS, int(new), len(queues), *queues, *words)
    return bool(await shard.run(script("worker_heartbeat"), *arguments))


def _view(name: str, fields: dict[str, str], heartbeat_ages: Mapping[str, float]) -> WorkerView:
    return WorkerView(
        name=name,
        hostname=fields.get("hostname", ""),
        pid=int(fields.get("pid") or 0),
        queues=tuple(fields.get("queues", "").split(",")) if fields.get("queues") else (),
        state=fields.get("state", "?"),
        slots=int(fields.get("wm_slots", 1)),
        running=int(fields.get("wm_running", 0)),
        finished=int(fields.get("successful_job_count") or 0),
        failed=int(fields.get("failed_job_count") or 0),
        fleet=fields.get("wm_fleet", ""),
        instance_id=fields.get("wm_instance_id", ""),
        born_at=fields.get("birth"),
        last_heartbeat=fields.get("last_heartbeat"),
        seconds_since_heartbeat=heartbeat_ages.get(name),
        native=name in heartbeat_ages,
        interruption=fields.get("wm_leaving", ""),
    )
