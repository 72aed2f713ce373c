"""Reads what alerts are about."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.counters import ShardCounts
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import number_of, pairs
from manager.alerts.conditions import Facts, Growth
from manager.queue.overview import Overview
from manager.scaler_factory import limits_from_settings
from manager.settings import ManagerSettings
from scaler.view import ScalerView, view_scaler

HOST_GONE_SECONDS = 24 * 3600.0
"""A host that has not told of its backups for so long is gone."""


class FactsReader:
    """Reads the queue, the scaler and the hosts' backups.

    Args:
        launches_workers: this manager has a scaler.
    """

    def __init__(
        self, shards: Shards, overview: Overview, settings: ManagerSettings, *, launches_workers: bool
    ) -> None:
        self._shards = shards
        self._overview = overview
        self._settings = settings
        self._launches_workers = launches_workers
        self._growth: dict[str, Growth] = {}

    async def read(self, now: float) -> Facts:
        """Return what can be read."""
        try:
            by_shard = await self._overview.counts_by_shard()
        except ShardUnavailable:
            by_shard = {}
        counts = sum(by_shard.values(), ShardCounts())
        view = await self._read_scaler()
        limits = limits_from_settings(self._settings)
        self._note("failed jobs", sum(counts.functions.failed.values()), now)
        self._note("callbacks given up", counts.callbacks.dead, now)
        return Facts(
            now,
            [shard.prefix for shard in self._shards if shard.index not in by_shard],
            counts,
            view,
            limits if view is None else view.state.overrides.applied_to(limits),
            self._settings.wait_target_seconds,
            await self._read_backups(now),
            self._growth,
        )

    def dump(self) -> dict[str, Any]:
        """Return for JSON what must be known of the time before."""
        return {name: asdict(growth) for name, growth in self._growth.items()}

    def load(self, stored: Any) -> None:
        """Take it over; what cannot be read is left out."""
        self._growth = {}
        for name, value in stored.items() if isinstance(stored, dict) else ():
            with contextlib.suppress(TypeError):
                growth = Growth(**value)
                growth.after(growth.total + 1, growth.grew_at + (growth.began_at or 0.0) + growth.from_total)
                self._growth[name] = growth

    def _note(self, name: str, total: int, now: float) -> None:
        self._growth[name] = self._growth[name].after(total, now) if name in self._growth else Growth(total)

    async def _read_scaler(self) -> ScalerView | None:
        if not self._launches_workers:
            return None
        try:
            return await view_scaler(self._shards)
        except ShardUnavailable:
            return None

    async def _read_backups(self, now: float) -> Mapping[str, float]:
        shard = self._shards.all[0]
        try:
            (flat,) = await shard.execute(("HGETALL", keys.backups(shard.prefix)), tolerate_wrong_types=True)
        except ShardUnavailable:
            return {}
        backups = {}
        for host, value in pairs(flat):
            made_at, _, told_at = value.partition(b" ")
            if now - (number_of(told_at) or 0.0) < HOST_GONE_SECONDS:
                backups[host] = number_of(made_at) or 0.0
        return backups


class BackupNote:
    """Tells other managers when this host has made its last backup. Its start counts as one.

    Args:
        marker: a file that each backup touches.
        host: this one's name.
    """

    def __init__(self, shards: Shards, marker: str, host: str) -> None:
        self._shard = shards.all[0]
        self._marker = Path(marker)
        self._host = host
        self._started_at = time.time()

    async def write(self) -> None:
        """Write it.

        Raises:
            ShardUnavailable: the first shard is away.
        """
        made_at = max(self._started_at, await asyncio.to_thread(self._touched_at))
        key = keys.backups(self._shard.prefix)
        await self._shard.execute(("HSET", key, self._host, f"{made_at:.0f} {time.time():.0f}"))

    def _touched_at(self) -> float:
        try:
            return self._marker.stat().st_mtime
        except OSError:
            return 0.0
