"""What is wrong at this moment, from what was read. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jobqueue.inspection.counters import ShardCounts
from manager.queue.problems import jobs_wait
from processes.wording import counted
from scaler.policy import Limits
from scaler.view import ScalerView

HOLD_SECONDS = {
    "shard_away": 20.0,
    "no_leader": 30.0,
    "wait_target_missed": 60.0,
    "breaker_open": 0.0,
    "budget_reached": 300.0,
    "backup_failed": 0.0,
    "dead_letters": 0.0,
}
"""Kinds of alerts, and how long each must last until it is told."""
MAX_BACKUP_AGE_SECONDS = 3 * 3600.0
QUIET_SECONDS = 600.0
"""Dead letters are over when none was added for so long."""


class Condition(NamedTuple):
    """Something that is wrong.

    Attributes:
        subject: which one of its kind: a shard, a queue, a host; '' if there is only one.
    """

    kind: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Growth:
    """A total that should stand still.

    Attributes:
        total: the last one known.
        began_at, from_total: when it began to grow, and what it was before; None: it stands still.
        grew_at: when it has grown last.
    """

    total: int
    from_total: int = 0
    began_at: float | None = None
    grew_at: float = 0.0

    def after(self, total: int, now: float) -> "Growth":
        """Return what is known after a total was read. One that is smaller lacks a shard that is away."""
        if total > self.total:
            if self.began_at is None:
                return Growth(total, self.total, now, now)
            return Growth(total, self.from_total, self.began_at, now)
        if self.began_at is not None and now - self.grew_at > QUIET_SECONDS:
            return Growth(self.total)
        return self


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read.

    Attributes:
        now: Unix time.
        shards_away: prefixes of the shards that do not answer.
        counts: of those that do.
        scaler: None if it could not be read, or no manager launches workers.
        limits: of the scaler, with the operator's overrides.
        wait_target_seconds: how long the oldest job of a queue may wait; None for as long as it takes.
        backups: when each host has made its last backup, Unix time.
        dead_letters: what was given up, by what it is.
    """

    now: float
    shards_away: Sequence[str] = ()
    counts: ShardCounts = field(default_factory=ShardCounts)
    scaler: ScalerView | None = None
    limits: Limits | None = None
    wait_target_seconds: float | None = None
    backups: Mapping[str, float] = field(default_factory=dict)
    dead_letters: Mapping[str, Growth] = field(default_factory=dict)


def conditions(facts: Facts) -> Mapping[Condition, str]:
    """Return what is wrong, each with a sentence."""
    return dict(_conditions(facts))


def _conditions(facts: Facts) -> Iterator[tuple[Condition, str]]:
    for prefix in facts.shards_away:
        yield Condition("shard_away", prefix), f"shard {prefix} does not answer: its jobs wait"
    if facts.wait_target_seconds is not None:
        for name, queue in facts.counts.queues.items():
            age = queue.oldest_seconds or 0.0
            if age > facts.wait_target_seconds and name not in facts.counts.paused:
                text = f"the next job of queue {name!r} has waited for {age:.0f} s: the target is"
                yield Condition("wait_target_missed", name), f"{text} {facts.wait_target_seconds:g} s"
    for what, growth in facts.dead_letters.items():
        if growth.began_at is not None:
            yield Condition("dead_letters", what), f"{what}: {growth.total - growth.from_total}"
    for host, made_at in facts.backups.items():
        if facts.now - made_at > MAX_BACKUP_AGE_SECONDS:
            hours = (facts.now - made_at) / 3600
            yield Condition("backup_failed", host), f"host {host} has made no backup for {hours:.1f} hours"
    if facts.scaler is not None:
        yield from _of_scaler(facts, facts.scaler)


def _of_scaler(facts: Facts, view: ScalerView) -> Iterator[tuple[Condition, str]]:
    if view.leadership is None:
        yield Condition("no_leader"), "no manager runs the scaler: no worker is launched or ended"
    if view.state.launch_breaker.is_open:
        yield Condition("breaker_open"), f"workers never register: {view.state.launch_breaker.last_failure}"
    limits, queued = facts.limits, facts.counts.total.queued
    if limits is None or not queued:
        return
    most = limits.max_workers_allowed()
    if most < limits.max_workers and len(view.instances) >= most:
        budget = f"the budget of {limits.hourly_budget:g} per hour allows {counted(most, 'worker')}"
        text = f"{jobs_wait(queued)}, and {budget}"
        yield Condition("budget_reached"), text
