"""Factories of instances and workers."""

from typing import Any

from jobqueue.workers.registry import WorkerView
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import Instance

NOW = 1000.0
PROFILE = Profile(
    boot_seconds=90.0,
    boot_timeout_seconds=300.0,
    min_billed_seconds=60.0,
    min_idle_seconds=0.0,
    poll_seconds=5.0,
    idle_poll_seconds=30.0,
)


def instance(id_: str, launched_at: float = 0.0, *, arrived: bool = True, **fields: Any) -> Instance:
    """Make an instance. `arrived`: its worker has registered."""
    return Instance(id_, launched_at, arrived_at=launched_at + 50.0 if arrived else None, **fields)


def worker(id_: str, state: str = "idle", *, running: int = 0, interruption: str = "") -> WorkerView:
    """Make a live worker."""
    return WorkerView(
        name=id_,
        hostname="host",
        pid=1,
        queues=("default",),
        state=state,
        slots=1,
        running=running,
        finished=0,
        failed=0,
        fleet="cloud",
        instance_id=id_,
        born_at=None,
        last_heartbeat=None,
        seconds_since_heartbeat=1.0,
        native=True,
        interruption=interruption,
    )


def busy(id_: str, *, interruption: str = "") -> WorkerView:
    """Make a live worker that runs a job."""
    return worker(id_, "busy", running=1, interruption=interruption)


def by_id(*instances: Instance) -> dict[str, Instance]:
    return {each.id: each for each in instances}


def by_instance(*workers: WorkerView) -> dict[str, WorkerView]:
    return {each.instance_id: each for each in workers}
