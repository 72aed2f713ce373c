"""Fixtures of the scaler's tests: a loop on a real Valkey, with a fake clock and a fake fleet."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import (
    WorkerHeartbeat,
    WorkerRecord,
    register,
    send_worker_heartbeat,
    unregister,
)
from scaler.fleets.fleet import FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from tests.fake_clock import FakeClock, use_clock

NewLoop = Callable[..., ScalerLoop]
LIMITS = Limits(min_workers=0, max_workers=3, min_idle_seconds=0.0)


class FakeFleet:
    """A fleet whose instances are only records; the test registers and unregisters their workers.

    Attributes:
        launch_tokens: tokens of the launch calls, in order.
        described: instances that `describe` returns, by id; launches add to it.
        terminated: ids of terminated instances, in the order of the calls.
        launch_error: if set, launches fail with it.
        closed: whether `close` was called.
    """

    def __init__(self) -> None:
        self.name = "fake"
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
        """Ids of all instances that ever existed, in order."""
        return list(self.described)

    def plan(
        self,
        count: int,
        living: Collection[Instance],
        cooling: Collection[str],
        pending: Collection[LaunchRequest] = (),
    ) -> list[LaunchRequest]:
        return [LaunchRequest(count, "pool")] if "pool" not in cooling else []

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

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        self.terminated += ids
        self.end_instances(*ids)
        return dict.fromkeys(ids)

    async def close(self) -> None:
        self.closed = True

    def end_instances(self, *ids: str) -> None:
        """End these instances."""
        for id_ in ids:
            if id_ in self.described:
                self.described[id_] = replace(self.described[id_], ended=True)

    async def register_workers(self, shard: Shard, *instance_ids: str) -> None:
        """Register the workers of these instances."""
        for id_ in instance_ids:
            await register(shard, WorkerRecord(id_, "host", 1, ("default",), 1, self.name, id_))

    async def unregister_workers(self, shard: Shard, *instance_ids: str) -> None:
        """Unregister the workers of these instances, as they do after draining."""
        for id_ in instance_ids:
            await unregister(shard, id_, ("default",))


async def read_stored(shard: Shard, name: str) -> dict[str, str]:
    """Read one of the scaler's hashes from Redis."""
    (flat,) = await shard.execute(("HGETALL", keys.scaler(shard.prefix, name)))
    return {key.decode(): text.decode() for key, text in zip(flat[::2], flat[1::2], strict=True)}


async def send_heartbeat(
    shard: Shard, worker: str, *, running: int = 0, state: str | None = None, interruption: str = ""
) -> None:
    """Send a worker's heartbeat; by default the worker is busy if it runs a job, and idle otherwise."""
    heartbeat = WorkerHeartbeat(
        state=state or ("busy" if running else "idle"),
        running=running,
        finished=0,
        failed=0,
        working_seconds=0.0,
        interruption=interruption,
    )
    await send_worker_heartbeat(shard, worker, heartbeat)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def shards(redis_url: str, clock: FakeClock) -> AsyncIterator[Shards]:
    """Shards that use the fake clock."""
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
    """Make a manager's loop whose rounds the test runs."""

    def make(fleet: FakeFleet, number: int = 1, limits: Limits = LIMITS) -> ScalerLoop:
        return ScalerLoop(shards, fleet, limits, f"host:{number}", ScalerMetrics(CollectorRegistry()), clock=clock)

    return make


@pytest.fixture
def loop_(new_loop: NewLoop, fleet: FakeFleet) -> ScalerLoop:
    return new_loop(fleet)
