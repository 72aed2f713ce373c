"""Settings with the user of another role, on one server: what is said names user, setting and role, and what to do."""

import logging
from pathlib import Path

import pytest

from jobqueue.errors import NotPermitted, ShardUnavailable
from jobqueue.lifecycle.finish import finish
from jobqueue.servers.topology import Topology
from jobqueue.sharding.layout import agree_on_layout
from jobqueue.sharding.shards import Shards
from manager.cluster.function_loader import FunctionLoader
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs, success_outcome
from tests.redis_users import url
from tests.tls_redis import load_functions
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

WRONG_MANAGER = "WORKMANAGER_REDIS_URL takes the user of the role manager, not worker"
WRONG_WORKER = "--redis-url of a worker takes the user of the role worker, not manager"


async def _shards(topology: Topology) -> Shards:
    return Shards(await agree_on_layout(topology, None), topology)


def _worker(server: ValkeyServer, user: str) -> Topology:
    return Topology(url(server, user), setting="--redis-url of a worker", role="worker")


async def test_a_worker_before_the_first_manager_says_to_start_one(server: ValkeyServer) -> None:
    topology = _worker(server, "worker")
    with pytest.raises(NotPermitted, match=r"no manager has used Redis at .* user worker .*: start a manager first"):
        await agree_on_layout(topology, None)
    await topology.close()


async def test_a_manager_with_the_user_of_workers(server: ValkeyServer) -> None:
    await load_functions(url(server, "administrator"))
    topology = Topology(url(server, "worker"))
    with pytest.raises(NotPermitted, match=f"refuses user worker .*: {WRONG_MANAGER}"):
        await agree_on_layout(topology, None)
    right = await Shards.connect(url(server, "manager"))
    shards = await _shards(topology)
    with pytest.raises(NotPermitted, match=f"refuses user worker .*: {WRONG_MANAGER}"):
        await enqueue_jobs(shards.all[0], "a")
    await shards.close()
    await right.close()


async def test_a_worker_with_the_user_of_managers(server: ValkeyServer) -> None:
    await load_functions(url(server, "administrator"))
    shards = await _shards(_worker(server, "manager"))
    other = await Shards.connect(url(server, "worker"))
    await enqueue_jobs(shards.all[0], "a")
    (job,) = await claim_jobs(other.all[0])
    with pytest.raises(NotPermitted, match=f"refuses user manager what script finish .*: {WRONG_WORKER}"):
        await finish(shards.all[0], "w1", [success_outcome(job)])
    await shards.close()
    await other.close()


async def test_a_user_who_may_not_even_look_at_the_servers(server: ValkeyServer) -> None:
    topology = Topology(url(server, "replica"))
    with pytest.raises(ShardUnavailable, match="WORKMANAGER_REDIS_URL takes the user of the role manager, not replica"):
        await agree_on_layout(topology, None)
    await topology.close()


async def test_a_user_of_ones_own_may_lack_what_a_plain_redis_need_not_tell(server: ValkeyServer) -> None:
    server.command("ACL", "SETUSER", "manager", "-cluster|info")
    shards = await Shards.connect(url(server, "manager"))
    assert not shards.topology.clustered
    await shards.close()


def test_a_manager_whose_cluster_url_has_its_own_user(server: ValkeyServer, tmp_path: Path) -> None:
    program = ManagerProgram(
        tmp_path / "manager", url(server, "manager"), ("--scaler", "none"), CLUSTER_URL=url(server, "manager")
    )
    wanted = "WORKMANAGER_CLUSTER_URL takes the user of the role administrator, not manager"
    try:
        until(lambda: wanted in program.log, wanted=wanted)
        (line,) = [line for line in program.log.splitlines() if "functions_not_loaded" in line]
        assert "refuses user manager" in line
    finally:
        program.kill()


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("manager", "user manager may run nothing else: a manager of this version with WORKMANAGER_CLUSTER_URL"),
        ("worker", "WORKMANAGER_REDIS_URL of a manager takes the user of the role manager, not worker"),
    ],
)
async def test_a_manager_that_can_serve_nothing_is_not_ready_and_says_why(
    server: ValkeyServer, tmp_path: Path, user: str, reason: str
) -> None:
    right = await Shards.connect(url(server, "manager"))  # which writes the layout
    await right.close()
    if user == "worker":
        await load_functions(url(server, "administrator"))
    program = ManagerProgram(tmp_path / "manager", url(server, user), ("--scaler", "none"))
    try:
        with program.client() as client:
            until(lambda: "event=queue_connected" in program.log, wanted="a connected manager")
            answer = client.get("/readyz")
            assert answer.status_code == 503, answer.text
            assert reason in answer.json()["detail"]
            if user == "manager":
                await load_functions(url(server, "administrator"))
                until(lambda: client.get("/readyz").is_success, wanted="a ready manager")
    finally:
        program.kill()


async def test_the_loader_tells_of_the_refusal_once(server: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    topology = Topology(url(server, "manager"), setting="WORKMANAGER_CLUSTER_URL", role="administrator")
    loader = FunctionLoader(topology)
    with caplog.at_level(logging.ERROR):
        await loader.load()
        await loader.load()
    (record,) = caplog.records
    assert "WORKMANAGER_CLUSTER_URL takes the user of the role administrator, not manager" in record.getMessage()
    await loader.stop()
