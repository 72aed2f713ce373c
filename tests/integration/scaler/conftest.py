"""The scaler on a real Valkey, with a fleet that only writes down what it is told."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerRecord, register, unregister
from scaler.fleets.fleet import FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from tests.fake_clock import FakeClock, use_clock

NewLoop = Callable[..., ScalerLoop]
LIMITS = Limits(min_workers=0, max_workers=3, min_idle_seconds=0.0)


class FakeFleet:
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
            boot_timeout_seconds=30.0,
            min_billed_seconds=0.0,
            min_idle_seconds=0.0,
            poll_seconds=0.0,
            idle_poll_seconds=0.0,
        )
        self.launch_tokens: list[str] = []
        self.described: dict[str, DescribedInstance] = {}
        self.terminated: list[str] = []
        self.launch_error: FleetError | None = None
        self.closed = False

    @property
    def launched(self) -> list[str]:
        """Ids of all that were ever launched."""
        return list(self.described)

    def plan(self, count: int, living: Collection[Instance], cooling: Collection[str]) -> list[LaunchRequest]:
        return [LaunchRequest(count, "paper")] if "paper" not in cooling else []

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        self.launch_tokens.append(intent.token)
        if self.launch_error is not None:
            raise self.launch_error
        ids = [f"{intent.token[:8]}-{number}" for number in range(intent.request.count)]
        for id_ in ids:
            self.described.setdefault(id_, DescribedInstance(id_, intent.recorded_at, intent.token))
        return [self.described[id_] for id_ in ids]

    async def describe(self) -> Sequence[DescribedInstance]:
        return list(self.described.values())

    async def terminate(self, ids: Sequence[str]) -> Collection[str]:
        self.terminated += ids
        self.end(*ids)
        return ids

    async def close(self) -> None:
        self.closed = True

    def end(self, *ids: str) -> None:
        """These instances have ended."""
        for id_ in ids:
            if id_ in self.described:
                self.described[id_] = replace(self.described[id_], ended=True)

    async def arrive(self, shard: Shard, *instance_ids: str) -> None:
        """These workers have booted."""
        for id_ in instance_ids:
            await register(shard, WorkerRecord(id_, "host", 1, ("default",), 1, self.name, id_))

    async def leave(self, shard: Shard, *instance_ids: str) -> None:
        """These workers have drained."""
        for id_ in instance_ids:
            await unregister(shard, id_, ("default",))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def shards(redis_url: str, clock: FakeClock) -> AsyncIterator[Shards]:
    """At the test's time."""
    connected = use_clock(await Shards.connect(redis_url), clock)
    yield connected
    await connected.close()


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def new_loop(shards: Shards, clock: FakeClock) -> Callable[..., ScalerLoop]:
    """Makes a manager's loop, ticked by the test."""

    def make(fleet: FakeFleet, number: int = 1, limits: Limits = LIMITS) -> ScalerLoop:
        return ScalerLoop(shards, fleet, limits, f"host:{number}", ScalerMetrics(CollectorRegistry()), clock=clock)

    return make


@pytest.fixture
def loop_(new_loop: NewLoop, fleet: FakeFleet) -> ScalerLoop:
    return new_loop(fleet)
