"""A launch is asked for only once its intent survives the loss of a server: else a failover would launch it twice."""

import random
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shards import Shards
from scaler.apply.launcher import Launcher
from scaler.metrics import ScalerMetrics
from scaler.state.leader_election import LeaderElector
from scaler.state.store import ScalerStore
from tests.integration.scaler.conftest import FakeFleet
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


@pytest.fixture
async def shards(cluster: ValkeyCluster) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    yield connected
    await connected.close()


@pytest.mark.usefixtures("long_replica_timeout")
async def test_nothing_is_launched_while_no_replica_confirms_and_later_it_is_launched_once(
    cluster: ValkeyCluster, shards: Shards, fleet: FakeFleet
) -> None:
    candidate = LeaderElector(shards.all[0], "host:1")
    epoch = (await candidate.acquire()).epoch
    ledger = ScalerStore(shards.all[0], candidate)
    launcher = Launcher(
        fleet, ledger, ScalerMetrics(CollectorRegistry()), holds_lease=lambda: True, rng=random.Random(1)
    )
    replicas = [server for server in cluster.servers if _is_replica(server)]
    for replica in replicas:
        replica.pause()
    try:
        with pytest.raises(ShardUnavailable, match="no replica") as raised:
            await launcher.launch(epoch, await ledger.read(), {}, 2, max_instances=3)
    finally:
        for replica in replicas:
            replica.resume()
    assert raised.value.outcome_unknown
    assert fleet.launch_tokens == []
    epoch = (await candidate.acquire()).epoch
    book = await ledger.read()
    assert await launcher.repeat_unanswered(epoch, book)
    assert fleet.launch_tokens == [intent.token for intent in book.intents]
    assert len(fleet.launched) == book.pending_launches == 2


def _is_replica(server: ValkeyServer) -> bool:
    return bool(server.command("ROLE")[0] == "slave")
