"""The scaler as operators see it, read from what its leader writes down; any manager can tell."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, list_workers
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, is_alive, phase_of
from scaler.state.leader_election import Leadership, read_leadership
from scaler.state.store import ScalerState, read_state


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance, the phase it is in, and its worker where that is heard of."""

    instance: Instance
    phase: InstancePhase
    worker: WorkerView | None


@dataclass(frozen=True, slots=True)
class ScalerView:
    """Everything.

    Attributes:
        leadership: None where nobody acts.
        report: of the last round: `at`, `fleet`, `reason`, `numbers`; None before the first.
        decisions: the latest first: `at`, `epoch`, `launch`, `drain`, `reason`, `numbers`.
    """

    state: ScalerState
    leadership: Leadership | None
    report: dict[str, Any] | None
    decisions: Sequence[dict[str, Any]]
    instances: Sequence[InstanceView]


async def view_scaler(shards: Shards) -> ScalerView:
    """Reads it.

    Raises:
        ShardUnavailable: the first shard is away.
    """
    state = shards.all[0]
    book, leadership, workers, (report, decisions) = await asyncio.gather(
        read_state(state),
        read_leadership(state),
        list_workers(state),
        state.execute(
            ("GET", keys.scaler(state.prefix, "report")),
            ("LRANGE", keys.scaler(state.prefix, "decisions"), 0, -1),
        ),
    )
    heard = {worker.instance_id: worker for worker in workers if worker.instance_id and is_alive(worker)}
    return ScalerView(
        state=book,
        leadership=leadership,
        report=None if report is None else json.loads(report),
        decisions=[json.loads(decision) for decision in decisions],
        instances=[
            InstanceView(instance, phase_of(instance, heard.get(id_)), heard.get(id_))
            for id_, instance in sorted(book.instances.items(), key=lambda item: (item[1].launched_at, item[0]))
        ],
    )
