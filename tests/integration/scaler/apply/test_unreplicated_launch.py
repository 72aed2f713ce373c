"""A launch is requested only once its intent is replicated: otherwise a failover could launch it twice."""

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
async def test_a_launch_waits_until_its_intent_is_replicated_and_happens_once(
    cluster: ValkeyCluster, shards: Shards, fleet: FakeFleet
) -> None:
    elector = LeaderElector(shards.all[0], "host:1")
    epoch = (await elector.acquire()).epoch
    store = ScalerStore(shards.all[0], elector)
    launcher = Launcher(
        fleet, store, ScalerMetrics(CollectorRegistry()), holds_lease=lambda: True, rng=random.Random(1)
    )
    replicas = [server for server in cluster.servers if _is_replica(server)]
    for replica in replicas:
        replica.pause()
    try:
        with pytest.raises(ShardUnavailable, match="no replica") as raised:
            await launcher.launch(epoch, await store.read(), {}, 2, max_instances=3)
    finally:
        for replica in replicas:
            replica.resume()
    assert raised.value.outcome_unknown
    assert fleet.launch_tokens == []
    epoch = (await elector.acquire()).epoch
    state = await store.read()
    assert await launcher.repeat_unanswered(epoch, state)
    assert fleet.launch_tokens == [intent.token for intent in state.intents]
    assert len(fleet.launched) == state.pending_launches == 2


def _is_replica(server: ValkeyServer) -> bool:
    return bool(server.command("ROLE")[0] == "slave")
