"""The scaler's state for `GET /scaler`. Any manager can read it, because the leader stores it in Redis."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.json_text import json_object
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, list_workers
from scaler.decide.actions import HELD_BACK
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, is_alive, phase_of
from scaler.state.leader_election import Leadership, read_leadership
from scaler.state.store import ScalerState, read_state


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance, its phase, and its live worker; None if there is none."""

    instance: Instance
    phase: InstancePhase
    worker: WorkerView | None


@dataclass(frozen=True, slots=True)
class ScalerView:
    """The scaler at one moment.

    Attributes:
        leadership: the leader; None if no manager leads.
        report: the last round's `at`, `fleet`, `reason`, `numbers`; None before the first round.
        decisions: latest first, each with `at`, `epoch`, `launch`, `drain`, `reason`, `numbers`.
        instances: oldest first.
    """

    state: ScalerState
    leadership: Leadership | None
    report: dict[str, Any] | None
    decisions: Sequence[dict[str, Any]]
    instances: Sequence[InstanceView]

    @property
    def reason(self) -> str:
        """The reason of the last decision; '' before the first one."""
        last = self.report or (self.decisions[0] if self.decisions else {})
        return str(last.get("reason") or "")

    @property
    def is_held_back(self) -> bool:
        """Whether launches are held back because earlier ones have failed."""
        return self.state.launch_breaker.is_open or self.waits_after_refusal

    @property
    def waits_after_refusal(self) -> bool:
        """Whether no launch is called for until a pause after a refusal ends.

        Only the leader knows whether a capacity pool is left that can be tried: one that cools holds back no other.
        """
        return self.state.launch_breaker.not_before > self.state.now or HELD_BACK in self.reason


async def view_scaler(shards: Shards, workers: Sequence[WorkerView] | None = None) -> ScalerView:
    """Read the scaler's state.

    Args:
        workers: those that are registered, if they have just been read; there may be thousands.

    Raises:
        ShardUnavailable: the first shard is unavailable.
    """
    shard = shards.all[0]
    state, leadership, (report, decisions), found = await asyncio.gather(
        read_state(shard),
        read_leadership(shard),
        shard.execute(
            ("GET", keys.scaler(shard.prefix, "report")),
            ("LRANGE", keys.scaler(shard.prefix, "decisions"), 0, -1),
            tolerate_wrong_types=True,
        ),
        _workers(shard, workers),
    )
    live = {worker.instance_id: worker for worker in found if worker.instance_id and is_alive(worker)}
    return ScalerView(
        state=state,
        leadership=leadership,
        report=json_object(report),
        decisions=[decision for text in decisions or () if (decision := json_object(text)) is not None],
        instances=[
            InstanceView(instance, phase_of(instance, live.get(id_)), live.get(id_))
            for id_, instance in sorted(state.instances.items(), key=lambda item: (item[1].launched_at, item[0]))
        ],
    )


async def _workers(shard: Shard, known: Sequence[WorkerView] | None) -> Sequence[WorkerView]:
    return await list_workers(shard) if known is None else known
