"""Worker registry: workers register, send heartbeats and exit here. The records are RQ's, so RQ's tools list them."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from jobqueue import keys
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, number_of, pairs, text_of
from jobqueue.timestamps import iso

RECORD_TTL_SECONDS = 120
"""How long the record of a silent worker is kept. Maintenance takes it off all lists after a minute, by its record."""
MAX_PROBLEMS_CHARACTERS = 2_000
"""A longer text about a worker's problems is cut off in its record."""
CLEAN_EXIT_TTL_SECONDS = 3600
"""How long a clean exit is remembered."""
MAX_LISTED_QUEUES = 1000
"""A worker that serves every queue is listed for so many of them; it serves the others all the same."""

UNREADABLE = "unreadable"
"""State of a worker whose record in Redis is no hash."""
MAX_NAMED_JOBS = 5
"""Of the jobs that a worker runs, its record names so many."""
MAX_ID_CHARACTERS = 256
"""A job with a longer id, of a plain RQ client, is not named there."""
MAX_SLOTS = 100_000
"""More than any worker has. A larger number in a record is a mistake."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """What a worker registers with.

    Attributes:
        slots: how many jobs it runs at a time.
        fleet: the fleet that launched it; '' if a person did.
        instance_id: its instance in that fleet.
        problems: why it cannot run some jobs, in sentences.
    """

    name: str
    hostname: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    fleet: str = ""
    instance_id: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as users see it.

    Attributes:
        state: 'idle', 'busy' or 'draining'; plain RQ workers have RQ's states; 'unreadable' if its record is no hash.
        running: number of jobs that it runs at the moment.
        last_heartbeat: time of its last heartbeat, as RQ writes it.
        seconds_since_heartbeat: how long ago that was by Redis' clock; None for plain RQ workers.
        native: False for plain RQ workers.
        interruption: why its instance is about to be taken away: 'spot' (it is draining), 'rebalance' (it still works),
            or ''.
        problems: why it cannot run some jobs, in sentences.
        jobs: as in `WorkerHeartbeat`; none of plain RQ workers.
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
    problems: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerHeartbeat:
    """What a worker reports every few seconds.

    Attributes:
        finished, failed, working_seconds: totals since the worker started.
        interruption: as in `WorkerView`.
        jobs: ids of some of the running jobs; the first `MAX_NAMED_JOBS` are stored.
    """

    state: str
    running: int
    finished: int
    failed: int
    working_seconds: float
    interruption: str = ""
    jobs: Sequence[str] = ()


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
        "version": version("rq"),
        "python_version": platform.python_version(),
        "state": "idle",
        "wm_slots": record.slots,
        "wm_fleet": record.fleet,
        "wm_instance_id": record.instance_id,
        **({"wm_problems": "\n".join(record.problems)[:MAX_PROBLEMS_CHARACTERS]} if record.problems else {}),
    }
    await _write_record(shard, record.name, fields, queues=await _listed_queues(shard, record.queues), new=True)


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
        "wm_jobs": "\n".join([id_ for id_ in report.jobs if len(id_) <= MAX_ID_CHARACTERS][:MAX_NAMED_JOBS]),
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
    await shard.run(script("unregister"), name, CLEAN_EXIT_TTL_SECONDS, *await _listed_queues(shard, queues))


async def list_for_new_queues(shard: Shard, queues: Sequence[str]) -> None:
    """List the workers that serve every queue for these queues too: RQ's tools read a queue's workers there.

    Raises:
        ShardUnavailable: try again.
    """
    command = ("SMEMBERS", keys.workers_of_queue(shard.prefix, *ALL_QUEUES))
    (workers,) = await shard.execute(command, tolerate_wrong_types=True)
    if workers and queues:
        commands = (("SADD", keys.workers_of_queue(shard.prefix, queue), *workers) for queue in queues)
        await shard.execute(*commands, tolerate_wrong_types=True)


async def exited_cleanly(shard: Shard, names: Sequence[str]) -> set[str]:
    """Return those of these workers that exited cleanly within the last hour.

    Raises:
        ShardUnavailable: try again. A worker exits from the other shards too, but not at the same moment.
    """
    answers = await shard.execute(*(("EXISTS", keys.clean_exit(shard.prefix, name)) for name in names)) if names else []
    return {name for name, left in zip(names, answers, strict=True) if left}


async def list_workers(shard: Shard) -> list[WorkerView]:
    """Return all workers listed on the shard, by name.

    Raises:
        ShardUnavailable: try another shard; workers are listed on all of them.
    """
    found, native, (seconds, _) = await shard.execute(
        ("SMEMBERS", keys.workers(shard.prefix)),
        ("ZRANGE", keys.heartbeats(shard.prefix), 0, -1, "WITHSCORES"),
        ("TIME",),
        tolerate_wrong_types=True,
    )
    # A key of another form lies on another shard.
    worker_key = keys.worker(shard.prefix, "")
    found = [key for key in found or () if key.startswith(worker_key.encode())]
    if not found:
        return []
    heartbeat_ages = {name: _heartbeat_age(int(seconds) - (number_of(at) or 0.0)) for name, at in pairs(native)}
    hashes = await shard.execute(*(("HGETALL", key) for key in found), tolerate_wrong_types=True)
    views = []
    for key, flat in zip(found, hashes, strict=True):
        name = text_of(key).removeprefix(worker_key)
        fields = {b"state": UNREADABLE.encode()} if flat is None else dict(zip(flat[::2], flat[1::2], strict=True))
        if fields:
            views.append(_view(name, fields, heartbeat_ages))
    return sorted(views, key=lambda view: view.name)


async def _listed_queues(shard: Shard, queues: Sequence[str]) -> Sequence[str]:
    if tuple(queues) != ALL_QUEUES:
        return queues
    (found,) = await shard.execute(
        ("SRANDMEMBER", keys.queues(shard.prefix), MAX_LISTED_QUEUES), tolerate_wrong_types=True
    )
    return (*ALL_QUEUES, *(text_of(key).removeprefix(keys.queue(shard.prefix, "")) for key in found or ()))


async def _write_record(
    shard: Shard, name: str, fields: Mapping[str, str | int], *, queues: Sequence[str], new: bool
) -> bool:
    words = [word for field in fields.items() for word in field]
    arguments = ("", name, RECORD_TTL_SECONDS, int(new), len(queues), *queues, *words)
    return bool(await shard.run(script("worker_heartbeat"), *arguments))


def _heartbeat_age(seconds: float) -> float:
    """Return the age of a heartbeat. One that lies in the future is from before a step back of Redis' clock: a living
    worker has sent another one soon, so what is left is old.
    """
    return abs(seconds) if seconds < -1.0 else max(0.0, seconds)


def _view(name: str, fields: Mapping[bytes, bytes], heartbeat_ages: Mapping[str, float]) -> WorkerView:
    """Return a worker of its record. There may be thousands of them: what is not shown is not decoded."""

    def text(field: bytes) -> str:
        raw = fields.get(field)
        return "" if raw is None else text_of(raw)

    queues, problems, jobs = text(b"queues"), text(b"wm_problems"), text(b"wm_jobs")
    return WorkerView(
        name=name,
        hostname=text(b"hostname"),
        pid=integer_of(fields.get(b"pid")),
        queues=tuple(queues.split(",")) if queues else (),
        state=text(b"state") if b"state" in fields else "?",
        slots=integer_of(fields.get(b"wm_slots"), 1, highest=MAX_SLOTS),
        running=integer_of(fields.get(b"wm_running"), highest=MAX_SLOTS),
        finished=integer_of(fields.get(b"successful_job_count")),
        failed=integer_of(fields.get(b"failed_job_count")),
        fleet=text(b"wm_fleet"),
        instance_id=text(b"wm_instance_id"),
        born_at=text(b"birth") if b"birth" in fields else None,
        last_heartbeat=text(b"last_heartbeat") if b"last_heartbeat" in fields else None,
        seconds_since_heartbeat=heartbeat_ages.get(name),
        native=name in heartbeat_ages,
        interruption=text(b"wm_leaving"),
        problems=tuple(problems.splitlines()),
        jobs=tuple([id_ for id_ in jobs.split("\n") if id_][:MAX_NAMED_JOBS]) if jobs else (),
    )
