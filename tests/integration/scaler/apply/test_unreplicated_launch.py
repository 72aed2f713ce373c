"""A launch is asked for only once its intent survives the loss of a server: else a failover would launch it twice."""

import random
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shards import Shards
from scaler.apply.launcher import Launcher
from scaler.metrics import Meter
from scaler.state.leader_election import Candidate
from scaler.state.store import Ledger
from tests.integration.scaler.conftest import PaperFleet
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


@pytest.fixture
async def shards(cluster: ValkeyCluster) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    yield connected
    await connected.close()


@pytest.mark.usefixtures("patient_masters")
async def test_nothing_is_launched_while_no_replica_confirms_and_later_it_is_launched_once(
    cluster: ValkeyCluster, shards: Shards, fleet: PaperFleet
) -> None:
    candidate = Candidate(shards.all[0], "host:1")
    epoch = (await candidate.stand()).epoch
    ledger = Ledger(shards.all[0], candidate)
    launcher = Launcher(fleet, ledger, Meter(CollectorRegistry()), is_sure=lambda: True, chance=random.Random(1))
    replicas = [server for server in cluster.servers if _is_replica(server)]
    for replica in replicas:
        replica.pause()
    try:
        with pytest.raises(ShardUnavailable, match="no replica") as raised:
            await launcher.launch(epoch, await ledger.read(), {}, 2, most=3)
    finally:
        for replica in replicas:
            replica.resume()
    assert raised.value.outcome_unknown
    assert fleet.asked == []
    epoch = (await candidate.stand()).epoch
    book = await ledger.read()
    assert await launcher.repeat(epoch, book)
    assert fleet.asked == [intent.token for intent in book.intents]
    assert len(fleet.launched) == book.intended == 2


def _is_replica(server: ValkeyServer) -> bool:
    return bool(server.command("ROLE")[0] == "slave")
