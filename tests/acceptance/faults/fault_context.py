"""The context of one injected fault: the system, the random choices, and the chosen targets."""

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
    """The context of one fault.

    Attributes:
        rng: makes the fault's random choices.
        duration_seconds: how long a lasting fault lasts.
        targets: names of what was hit, or what was done, in words.
        power_cut_at: when the power of all hosts was cut (the event loop's clock); None if it was not.
    """

    system: SystemUnderTest
    rng: random.Random
    duration_seconds: float
    targets: list[str] = field(default_factory=list)
    power_cut_at: float | None = None

    def any_of(self, targets: Sequence[Target]) -> Target:
        chosen = self.rng.choice(targets)
        self.targets.append(chosen.name)
        return chosen

    def any_manager(self) -> SupervisedProgram:
        return self.any_of(self.system.managers)

    def any_agent(self) -> SupervisedProgram:
        return self.any_of(self.system.workers)

    def any_master(self) -> RedisServer:
        return self.any_of(self.system.masters())

    def any_replica(self) -> RedisServer:
        masters = self.system.masters()
        return self.any_of([server for server in self.system.redis_servers[:4] if server not in masters])

    def any_host(self) -> Host:
        return self.any_of([self.system.first, self.system.second])

    async def wait_duration(self) -> None:
        """Sleep for the duration of a lasting fault."""
        await asyncio.sleep(self.duration_seconds)


InjectFault = Callable[[FaultContext], Awaitable[None]]
