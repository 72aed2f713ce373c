"""Nobody is told of an end that the loss of its master would take back."""

import json
from collections.abc import AsyncIterator

import pytest

from jobqueue.callbacks.outbox import claim_callbacks, has_due
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.finish import finish
from jobqueue.servers import adaptive_wait
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    enqueue_jobs,
    master_port_of,
    replica_of,
    success_outcome,
)
from workmanager.local.valkey_cluster import ValkeyCluster

CALLBACK = json.dumps({"url": "https://example.com/", "host": "example.com:443", "events": ["finished"]})


@pytest.fixture
async def shards(cluster: ValkeyCluster) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    yield connected
    await connected.close()


@pytest.mark.usefixtures("long_replica_timeout")
async def test_an_entry_that_no_replica_has_is_not_handed_out(
    shards: Shards, cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptive_wait, "WAIT_TIMEOUT_SECONDS", 1.0)
    shard = shards.all[0]
    await enqueue_jobs(shard, "a", callback=CALLBACK)
    (job,) = await claim_jobs(shard)
    replica = replica_of(cluster, master_port_of(shards, shard))
    replica.pause()
    try:
        await finish(shard, "w1", [success_outcome(job)])
        assert await has_due(shard)
        with pytest.raises(ShardUnavailable):
            await claim_callbacks(shard, "token", 10, 8, lease_seconds=0.1)
    finally:
        replica.resume()
    (entry,) = await claim_callbacks(shard, "token", 10, 8)
    assert entry.job_id == "a"
