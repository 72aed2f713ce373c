"""What operators have told the scaler while it runs: kept in Redis, for every manager, until they say otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from scaler.policy import Limits


@dataclass(frozen=True, slots=True)
class Overrides:
    """None leaves a limit as the managers' settings have it.

    Attributes:
        paused: nothing is launched and nobody is let go. What is dead is still cleared away.
    """

    paused: bool = False
    min_workers: int | None = None
    max_workers: int | None = None
    budget_per_hour: float | None = None

    def applied_to(self, limits: Limits) -> Limits:
        """The limits that hold. Where minimum and maximum contradict each other, the maximum holds."""
        most = limits.max_workers if self.max_workers is None else self.max_workers
        least = limits.min_workers if self.min_workers is None else self.min_workers
        budget = limits.hourly_budget if self.budget_per_hour is None else self.budget_per_hour
        return replace(limits, min_workers=min(least, most), max_workers=most, hourly_budget=budget)

    @classmethod
    def from_fields(cls, given: Mapping[str, str]) -> "Overrides":
        """As they stand in Redis."""
        return cls(
            paused=given.get("paused") == "1",
            min_workers=int(given["min_workers"]) if "min_workers" in given else None,
            max_workers=int(given["max_workers"]) if "max_workers" in given else None,
            budget_per_hour=float(given["budget_per_hour"]) if "budget_per_hour" in given else None,
        )


def overrides_key(shard: Shard) -> str:
    """Where they stand, on the queue's first shard."""
    return keys.scaler(shard.prefix, "orders")


async def set_paused(shard: Shard, *, paused: bool) -> None:
    """Stops, or lets go on, launching and letting go; returns once that survives the loss of the shard's master.

    Raises:
        ShardUnavailable, QueueFull: try again.
    """
    key = overrides_key(shard)
    await shard.execute(("HSET", key, "paused", "1") if paused else ("HDEL", key, "paused"), replicate=True)


async def set_limits(shard: Shard, given: Mapping[str, int | float | None]) -> None:
    """Sets limits: `min_workers`, `max_workers`, `budget_per_hour`; None goes back to the managers' settings.

    Returns once they survive the loss of the shard's master.

    Raises:
        ShardUnavailable, QueueFull: try again.
    """
    key = overrides_key(shard)
    await shard.execute(
        *(("HDEL", key, name) if value is None else ("HSET", key, name, value) for name, value in given.items()),
        replicate=True,
    )
