"""The scaler on a real Valkey, with a fleet that only writes down what it is told."""

from collections.abc import AsyncIterator, Sequence

import pytest

from jobqueue.shards import Shard, Shards
from jobqueue.workers import WorkerRecord, register


class PaperFleet:
    """A fleet whose workers exist on paper; the test registers them when it pleases.

    Attributes:
        launched, discarded: ids in the order of the calls.
        closed: whether it was let go of.
    """

    def __init__(self) -> None:
        self.name = "paper"
        self.launched: list[str] = []
        self.discarded: list[str] = []
        self.closed = False

    async def launch(self, instance_ids: Sequence[str]) -> None:
        self.launched += instance_ids

    async def discard(self, instance_ids: Sequence[str]) -> None:
        self.discarded += instance_ids

    async def close(self) -> None:
        self.closed = True

    async def arrive(self, shard: Shard, *instance_ids: str) -> None:
        """These workers have booted."""
        for id_ in instance_ids:
            await register(shard, WorkerRecord(f"w-{id_}", "host", 1, ("default",), 1, self.name, id_))


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


@pytest.fixture
def fleet() -> PaperFleet:
    return PaperFleet()
