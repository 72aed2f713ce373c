"""Operator overrides: pausing the scaler and changing its limits at run time.

They are stored in Redis, apply to all managers, and hold until an operator changes them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobqueue.audit import Author, author_argument
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, number_of
from scaler.policy import Limits


@dataclass(frozen=True, slots=True)
class Overrides:
    """The stored overrides. A limit that is None comes from the managers' settings.

    Attributes:
        paused: nothing is launched and no worker is drained. Dead instances are still terminated.
    """

    paused: bool = False
    min_workers: int | None = None
    max_workers: int | None = None
    budget_per_hour: float | None = None

    def applied_to(self, limits: Limits) -> Limits:
        """Return the effective limits. If minimum and maximum contradict each other, the maximum wins."""
        max_workers = limits.max_workers if self.max_workers is None else self.max_workers
        min_workers = limits.min_workers if self.min_workers is None else self.min_workers
        budget = limits.hourly_budget if self.budget_per_hour is None else self.budget_per_hour
        return replace(limits, min_workers=min(min_workers, max_workers), max_workers=max_workers, hourly_budget=budget)

    @classmethod
    def from_fields(cls, given: Mapping[str, str]) -> "Overrides":
        """Decode the fields of the hash in Redis. One that is no number counts as not set."""
        budget = number_of(given.get("budget_per_hour"))
        return cls(
            paused=given.get("paused") == "1",
            min_workers=_workers(given.get("min_workers")),
            max_workers=_workers(given.get("max_workers")),
            budget_per_hour=budget if budget is None or budget >= 0 else None,
        )


def _workers(text: str | None) -> int | None:
    number = integer_of(text, -1, lowest=-1)
    return None if number < 0 else number


async def set_paused(shard: Shard, author: Author | None = None, *, paused: bool) -> None:
    """Pause or resume launching and draining. Return once the change survives the loss of the shard's master.

    Args:
        author: who is noted in the audit stream.

    Raises:
        ShardUnavailable, QueueFull: try again.
    """
    action = "scaler_paused" if paused else "scaler_resumed"
    await _override(shard, author, action, {"paused": 1 if paused else None})


async def set_limits(shard: Shard, given: Mapping[str, float | None], author: Author | None = None) -> None:
    """Set limits: `min_workers`, `max_workers`, `budget_per_hour`; None restores the managers' setting.

    Return once the change survives the loss of the shard's master.

    Args:
        author: who is noted in the audit stream.

    Raises:
        ShardUnavailable, QueueFull: try again.
    """
    await _override(shard, author, "scaler_limited", given)


async def _override(shard: Shard, author: Author | None, action: str, given: Mapping[str, float | None]) -> None:
    items = [part for name, value in given.items() for part in (name, "" if value is None else value)]
    await shard.run(script("scaler_override"), author_argument(author), action, *items, replicate=True)
