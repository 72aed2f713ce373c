"""The scaler on a real Valkey, with a fleet that only writes down what it is told."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.sharding.shards import Shard, Shards
from jobqueue.workers.registry import WorkerRecord, register, unregister
from scaler.fleets.fleet import FleetError, Profile
from scaler.fleets.instances import Instance, Intent, Order, Sighting
from scaler.loop import ScalerLoop
from scaler.metrics import Meter
from scaler.policy import Limits
from tests.fake_clock import Clock, set_clock

NewLoop = Callable[..., ScalerLoop]
LIMITS = Limits(min_workers=0, max_workers=3, idle_seconds=0.0)


class PaperFleet:
    """A fleet whose instances exist on paper; the test registers their workers when it pleases.

    Attributes:
        asked: tokens in the order of the calls.
        shown: what `look` shows, by id; launches add to it.
        terminated: ids in the order of the calls.
        refusal: what the next launches are answered.
        closed: whether it was let go of.
    """

    def __init__(self) -> None:
        self.name = "paper"
        self.profile = Profile(
            boot_seconds=2.0,
            boot_limit_seconds=30.0,
            minimum_paid_seconds=0.0,
            idle_seconds=0.0,
            look_seconds=0.0,
            rest_seconds=0.0,
        )
        self.asked: list[str] = []
        self.shown: dict[str, Sighting] = {}
        self.terminated: list[str] = []
        self.refusal: FleetError | None = None
        self.closed = False

    @property
    def launched(self) -> list[str]:
        """Ids of all that were ever launched."""
        return list(self.shown)

    def plan(self, count: int, living: Collection[Instance], avoided: Collection[str]) -> list[Order]:
        return [Order(count, "paper")] if "paper" not in avoided else []

    async def launch(self, intent: Intent, *, repeated: bool) -> list[Sighting]:
        self.asked.append(intent.token)
        if self.refusal is not None:
            raise self.refusal
        ids = [f"{intent.token[:8]}-{number}" for number in range(intent.order.count)]
        for id_ in ids:
            self.shown.setdefault(id_, Sighting(id_, intent.at, intent.token))
        return [self.shown[id_] for id_ in ids]

    async def look(self) -> Sequence[Sighting]:
        return list(self.shown.values())

    async def terminate(self, ids: Sequence[str]) -> Collection[str]:
        self.terminated += ids
        self.end(*ids)
        return ids

    async def close(self) -> None:
        self.closed = True

    def end(self, *ids: str) -> None:
        """These instances have ended."""
        for id_ in ids:
            if id_ in self.shown:
                self.shown[id_] = replace(self.shown[id_], ended=True)

    async def arrive(self, shard: Shard, *instance_ids: str) -> None:
        """These workers have booted."""
        for id_ in instance_ids:
            await register(shard, WorkerRecord(id_, "host", 1, ("default",), 1, self.name, id_))

    async def leave(self, shard: Shard, *instance_ids: str) -> None:
        """These workers have drained."""
        for id_ in instance_ids:
            await unregister(shard, id_, ("default",))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def shards(redis_url: str, clock: Clock) -> AsyncIterator[Shards]:
    """At the test's time."""
    connected = set_clock(await Shards.connect(redis_url), clock)
    yield connected
    await connected.close()


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


@pytest.fixture
def fleet() -> PaperFleet:
    return PaperFleet()


@pytest.fixture
def new_loop(shards: Shards, clock: Clock) -> Callable[..., ScalerLoop]:
    """Makes a manager's loop, ticked by the test."""

    def make(fleet: PaperFleet, number: int = 1, limits: Limits = LIMITS) -> ScalerLoop:
        return ScalerLoop(shards, fleet, limits, f"host:{number}", Meter(CollectorRegistry()), clock=clock)

    return make


@pytest.fixture
def loop_(new_loop: NewLoop, fleet: PaperFleet) -> ScalerLoop:
    return new_loop(fleet)
