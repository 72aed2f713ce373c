"""A Redis master that comes back without cluster mode: managers name it and accept no job for it."""

import re
from pathlib import Path

from jobqueue import keys
from tests.acceptance.manager.conftest import Start
from tests.integration.jobqueue.servers.test_refused_servers import without_cluster_mode
from tests.waiting import until
from workmanager.local.valkey_cluster import ValkeyCluster


def test_a_server_without_cluster_mode_is_named_by_running_and_starting_managers(
    cluster: ValkeyCluster, start: Start, tmp_path: Path
) -> None:
    running = start(cluster.url).wait_until_ready()
    victim = cluster.masters()[0]
    address = f"127.0.0.1:{victim.port}"
    with running.client() as http:
        for _ in range(60):  # so that every shard has one
            assert http.post("/jobs", json={"function": "noop"}).is_success
    with running.client() as http, without_cluster_mode(victim, tmp_path / "plain") as plain:
        until(lambda: address in http.get("/readyz").text, wanted="the server in /readyz")
        until(lambda: http.get("/readyz").is_success, wanted="the other shards")
        assert "without cluster-enabled" in http.get("/readyz").json()["refused_servers"][address]
        assert re.search(r"^workmanager_redis_servers_refused 1\.0$", http.get("/metrics").text, re.MULTILINE)
        assert f"event=redis_server_refused server={address} " in running.log

        layout = plain.command("GET", keys.LAYOUT)
        starting = start(plain.url)
        with starting.client() as other:
            until(lambda: f"{address} is refused" in other.get("/readyz").text, wanted="the server in /readyz")
            assert other.get("/readyz").status_code == 503
            assert re.search(r"^workmanager_redis_servers_refused 1\.0$", other.get("/metrics").text, re.MULTILINE)
        assert plain.command("GET", keys.LAYOUT) == layout

    victim.start()
    with running.client() as http, starting.client() as other:
        until(lambda: "refused_servers" not in http.get("/readyz").text, wanted="nothing refused")
        until(lambda: other.get("/readyz").is_success, wanted="the starting manager ready")
        assert re.search(r"^workmanager_redis_servers_refused 0\.0$", other.get("/metrics").text, re.MULTILINE)
