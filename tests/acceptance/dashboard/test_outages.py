"""What the dashboard tells while Redis is away."""

import time
from pathlib import Path

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


def test_pages_say_that_redis_is_away_and_show_what_was_there_before(
    private_server: ValkeyServer, tmp_path: Path
) -> None:
    private_server.kill()
    manager = ManagerProgram(tmp_path / "manager", private_server.url)
    try:
        with manager.client() as client:
            visitor = Visitor(client)
            assert "Redis cannot be read, so there are no numbers yet" in visitor.open("/").text
            private_server.start()
            manager.wait_until_ready()
            submit(client)
            assert "Waiting 1" in visitor.open("/").text
            private_server.kill()
            away = visitor.open("/")
            assert away.status == 200
            assert "Redis cannot be read: the numbers are from" in away.text
            assert "Waiting 1" in away.text
            jobs = visitor.open("/dashboard/jobs?status=failed")
            assert jobs.status == 503
            assert "Reload this page in a moment" in jobs.text
            private_server.start()
            until(lambda: "Redis cannot be read" not in visitor.open("/").text, wanted="Redis is read again")
            assert "Waiting 1" in visitor.open("/").text
    finally:
        manager.kill()
    assert "Traceback" not in manager.log


def test_a_shard_that_is_away_is_told_and_delays_no_page(cluster: ValkeyCluster, tmp_path: Path) -> None:
    manager = ManagerProgram(tmp_path / "manager", cluster.url).wait_until_ready()
    master = cluster.masters()[0]
    try:
        with manager.client() as client:
            visitor = Visitor(client)
            visitor.open("/")
            master.pause()
            until(lambda: "shards do not answer" in visitor.open("/").text, wanted="the shards that are away")
            began = time.monotonic()
            page = visitor.open("/dashboard/jobs?status=failed")
            assert time.monotonic() - began < 1
            assert "shards do not answer: their jobs are missing here" in page.text
    finally:
        master.resume()
        manager.kill()
    assert "Traceback" not in manager.log
