"""The files of the embedded servers: a full disk costs no job, and an unreadable file no data that others have."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests.acceptance.sha512 import sha512
from tests.full_disk import no_room_for
from tests.processes import is_alive
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client
from workmanager.errors import ClientError

pytestmark = pytest.mark.timeout(600)
JOBS = 20


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def _submit(client: Client, data: bytes) -> tuple[str, str]:
    """Submit a job. Return its id and the right value."""
    return client.enqueue(data, iterations=2), sha512(data, 2)


def _pull(client: Client, count: int) -> dict[str, str]:
    """Pull `count` values and return them by id."""
    values: dict[str, str] = {}

    def all_there() -> bool:
        results = client.pull(top=1_000, lease_seconds=10, wait_seconds=1)
        client.ack(result.id for result in results)
        values.update({result.id: result.value for result in results})
        return len(values) >= count

    until(all_there, wanted=f"{count} values")
    return values


def _readiness(up: WorkmanagerUp) -> dict[str, object]:
    try:
        answer = httpx.get(f"{up.urls[0]}/readyz", timeout=10)
    except httpx.TransportError:
        return {}
    return dict(answer.json())


def _rewrite(client: redis.Redis) -> None:
    """Have the file rewritten, as the server does from time to time."""
    client.bgrewriteaof()
    until(lambda: client.info("persistence")["aof_rewrites"] == 1)
    until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])


def test_a_full_disk_loses_no_job_when_the_server_is_restarted_later(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "1")
    up.wait_until_ready()
    with up.redis_client() as redis_client, Client(up.urls, retry_seconds=30) as client:
        pid = redis_client.info("server")["process_id"]
        _rewrite(redis_client)
        expected = dict([_submit(client, b"before")])
        with no_room_for(pid, up.directory / "data/single"):
            # Redis answers before it writes to the file.
            expected |= [_submit(client, b"x" * 100_000)]
            reason = "it cannot be written: free space on the server's disk"
            until(lambda: reason in str(_readiness(up).get("detail")), wanted="an answer that tells of the file")
            with Client(up.urls, retry_seconds=0) as impatient, pytest.raises(ClientError):
                impatient.enqueue(b"refused", iterations=2)
        expected |= [_submit(client, b"after")]
        ready = {"status", "shards", "time_zone_rules"}
        until(lambda: _readiness(up).keys() == ready, wanted="a manager that is ready, and a sound file")
        assert "workmanager_redis_files_unsound 0.0" in httpx.get(f"{up.urls[0]}/metrics").text
        expected |= [_submit(client, b"last")]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
        assert _pull(client, len(expected)) == expected
    log = up.log.read_text()
    assert "event=append_only_file_unsound" in log
    assert "event=append_only_file_sound" in log
    assert "event=append_only_gaps_removed" not in log
    assert up.stop() == 0


def test_a_server_whose_data_nobody_else_has_does_not_start_empty(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "1")
    up.wait_until_ready()
    with Client(up.urls) as client:
        client.enqueue(b"kept", iterations=2)
    assert up.stop() == 0
    files = up.directory / "data/single/appendonlydir"
    (path,) = files.glob("*.incr.aof")
    path.write_bytes(b"garbage\r\n" + path.read_bytes())
    damaged = path.read_bytes()
    process = up.start("--max-workers", "1")
    assert process.wait(60) == 1
    (error,) = [line for line in up.log.read_text().splitlines() if " INFO " not in line]
    assert f"cannot read its data: {path} is damaged: no command begins at byte 0." in error
    assert "--fix" in error
    assert path.read_bytes() == damaged


def test_a_member_of_a_cluster_that_cannot_read_its_file_joins_empty(up: WorkmanagerUp) -> None:
    up.start("--cluster", "--max-workers", "1")
    up.wait_until_ready()
    with Client(up.urls, retry_seconds=30) as client:
        until(lambda: _is_healthy(up), wanted="a healthy cluster")
        expected = dict(_submit(client, b"%d" % number) for number in range(JOBS))
        directory = up.directory / "data/cluster/0"
        pid = up.pid_of(f"127.0.0.1:{(directory / 'port').read_text()} [cluster]")
        os.kill(pid, signal.SIGKILL)
        (path,) = (directory / "appendonlydir").glob("*.incr.aof")
        path.write_bytes(b"garbage\r\n" + path.read_bytes())
        until(lambda: "event=append_only_set_aside" in up.log.read_text(), wanted="files that are set aside")
        until(lambda: _is_healthy(up), wanted="a healthy cluster again")
        expected |= dict(_submit(client, b"later %d" % number) for number in range(JOBS))
        assert _pull(client, len(expected)) == expected
    assert len(list(directory.glob("appendonlydir.unreadable-*"))) == 1
    assert up.stop() == 0


def test_a_master_that_cannot_read_its_file_is_waited_for_if_nobody_serves_its_slots(up: WorkmanagerUp) -> None:
    """After a stop of all servers, Redis promotes no replica. A person can, and then the member joins empty."""
    up.start("--cluster", "--max-workers", "1")
    up.wait_until_ready()
    with Client(up.urls, retry_seconds=30) as client:
        until(lambda: _is_healthy(up), wanted="a healthy cluster")
        expected = dict(_submit(client, b"%d" % number) for number in range(JOBS))
        until(lambda: client.status()["Jobs"] == 0, wanted="the end of all jobs")
    assert up.stop() == 0
    directory, replica = up.directory / "data/cluster/0", up.directory / "data/cluster/3"
    shutil.copytree(directory / "appendonlydir", up.directory / "copy")
    (path,) = (directory / "appendonlydir").glob("*.incr.aof")
    path.write_bytes(b"garbage\r\n" + path.read_bytes())
    up.start("--cluster", "--max-workers", "1")
    up.wait_until_ready()
    port = int((replica / "port").read_text())
    until(
        lambda: f"send CLUSTER FAILOVER FORCE to 127.0.0.1:{port}" in json.dumps(_readiness(up)),
        wanted="an answer that tells what to do",
    )
    until(lambda: "event=valkey_restart_failed" in up.log.read_text(), wanted="a try to restart it")
    assert path.exists()
    with redis.Redis(port=port) as person:
        person.execute_command("CLUSTER", "FAILOVER", "FORCE")
    until(lambda: "event=append_only_set_aside" in up.log.read_text(), wanted="files that are set aside")
    until(lambda: _is_healthy(up), wanted="a healthy cluster again")
    with Client(up.urls, retry_seconds=30) as client:
        assert _pull(client, len(expected)) == expected
    assert up.stop() == 0


def _is_healthy(up: WorkmanagerUp) -> bool:
    cluster = _readiness(up).get("cluster")
    return isinstance(cluster, dict) and not any(value for name, value in cluster.items() if name != "members")
