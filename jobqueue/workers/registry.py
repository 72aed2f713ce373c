"""Worker records (RQ's own, so that its tools list our workers) and the messages that reach a worker."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import rq

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso
from jobqueue.workers.messages import COMMAND_TTL_SECONDS

RECORD_TTL_SECONDS = 120
"""How long a silent worker's record is kept: longer than it is listed (a minute), so that maintenance finds in it what
else to take it off."""
CLEAN_EXIT_TTL_SECONDS = 3600
FENCE_TTL_SECONDS = 86_400
"""How long a worker that was closed gets nothing: longer than any instance takes to go. Names do not come again."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as it registers.

    Attributes:
        slots: how many jobs it runs at a time.
        fleet: the fleet that launched it, '' where a person did.
        instance_id: its machine in that fleet.
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
    """A worker as users see it. `state` is 'idle', 'busy' or 'draining'; stock workers have RQ's states.

    Attributes:
        running: jobs that it runs at the moment.
        last_heartbeat: RQ's text of the time it was last heard of.
        silent_seconds: how long ago that is by Redis' clock, None for stock RQ workers.
        ours: False for stock RQ workers.
        leaving: what is about to take its instance away: 'spot' (it drains already), 'rebalance' (it still works), or
            ''.
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
    """What a worker says of itself every few seconds; the counts are of its whole life, `leaving` is as in its view."""

    state: str
    running: int
    finished: int
    failed: int
    working_seconds: float
    interruption: str = ""


async def register(shard: Shard, record: WorkerRecord) -> None:
    """Lists the worker on the shard.

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
    await _beat(shard, record.name, fields, queues=record.queues, new=True)


async def send_worker_heartbeat(shard: Shard, name: str, report: WorkerHeartbeat) -> bool:
    """Keeps the worker listed.

    Returns:
        False where the record is gone, so that the worker must register again.

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
    return await _beat(shard, name, fields, queues=(), new=False)


async def unregister(shard: Shard, name: str, queues: Sequence[str]) -> None:
    """Takes the worker off the list: it has left in order, with nothing in its hands.

    Raises:
        ShardUnavailable: it drops off by itself after a minute.
    """
    await shard.run(script("unregister"), name, CLEAN_EXIT_TTL_SECONDS, *queues)


async def exited_cleanly(shard: Shard, names: Sequence[str]) -> set[str]:
    """Those of these workers that left in order within the last hour.

    Raises:
        ShardUnavailable: ask again; workers leave the other shards too, but not at the same moment.
    """
    answers = await shard.execute(*(("EXISTS", keys.clean_exit(shard.prefix, name)) for name in names)) if names else []
    return {name for name, left in zip(names, answers, strict=True) if left}


async def fence_worker(shard: Shard, name: str) -> None:
    """Ends a worker's work on the shard: its claims get nothing from now on, for good, and it is told to drain.

    Raises:
        ShardUnavailable: try again.
    """
    message = json.dumps({"verb": "drain", "job_id": ""})
    await shard.run(script("fence_worker"), name, FENCE_TTL_SECONDS, message, COMMAND_TTL_SECONDS, replicate=True)


async def list_workers(shard: Shard) -> list[WorkerView]:
    """Every worker that is listed on the shard, by name.

    Raises:
        ShardUnavailable: another shard lists the same workers.
    """
    found, ours, (seconds, _) = await shard.execute(
        ("SMEMBERS", keys.workers(shard.prefix)),
        ("ZRANGE", keys.heartbeats(shard.prefix), 0, -1, "WITHSCORES"),
        ("TIME",),
    )
    if not found:
        return []
    silences = {
        name.decode(): max(0.0, int(seconds) - float(at)) for name, at in zip(ours[::2], ours[1::2], strict=True)
    }
    hashes = await shard.execute(*(("HGETALL", key) for key in found))
    views = []
    for key, flat in zip(found, hashes, strict=True):
        fields = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
        if fields:
            views.append(_view(key.decode().removeprefix(keys.worker(shard.prefix, "")), fields, silences))
    return sorted(views, key=lambda view: view.name)


async def _beat(shard: Shard, name: str, fields: Mapping[str, str | int], *, queues: Sequence[str], new: bool) -> bool:
    words = [word for field in fields.items() for word in field]
    arguments = ("", name, RECORD_TTL_SECONDS, int(new), len(queues), *queues, *words)
    return bool(await shard.run(script("worker_heartbeat"), *arguments))


def _view(name: str, fields: dict[str, str], silences: Mapping[str, float]) -> WorkerView:
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
        seconds_since_heartbeat=silences.get(name),
        native=name in silences,
        interruption=fields.get("wm_leaving", ""),
    )
