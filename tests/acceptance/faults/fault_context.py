"""What a fault works on, and whom it hits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.acceptance.faults.hosts import Host
from tests.acceptance.faults.supervised_programs import SupervisedProgram
from tests.acceptance.faults.system_under_test import RedisServer, SystemUnderTest

Target = TypeVar("Target", SupervisedProgram, Host, RedisServer)


@dataclass(slots=True)
class FaultContext:
    """One fault's.

    Attributes:
        chance: makes its choices.
        seconds: how long what lasts is to last.
        struck: whom it hit, or what it did, in words.
        power_cut_at: when all power was cut (the event loop's clock); None where it was not.
    """

    system: SystemUnderTest
    rng: random.Random
    duration_seconds: float
    struck: list[str] = field(default_factory=list)
    power_cut_at: float | None = None

    def any_of(self, targets: Sequence[Target]) -> Target:
        chosen = self.rng.choice(targets)
        self.struck.append(chosen.name)
        return chosen

    def any_manager(self) -> SupervisedProgram:
        return self.any_of(self.system.managers)

    def any_agent(self) -> SupervisedProgram:
        return self.any_of(self.system.workers)

    def any_master(self) -> RedisServer:
        return self.any_of(self.system.masters())

    def any_replica(self) -> RedisServer:
        masters = self.system.masters()
        return self.any_of([store for store in self.system.redis_servers[:4] if store not in masters])

    def any_host(self) -> Host:
        return self.any_of([self.system.first, self.system.second])

    async def wait_duration(self) -> None:
        """Returns when what lasts has lasted."""
        await asyncio.sleep(self.duration_seconds)


InjectFault = Callable[[FaultContext], Awaitable[None]]
