"""Redis users with the permissions of an older version: the error says what is missing, and updating them is enough."""

import asyncio
import sys
from pathlib import Path

import pytest

from jobqueue.acl import roles
from jobqueue.errors import NotPermitted
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.pull import pull
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import enqueue_jobs, new_job
from tests.tls_redis import load_functions
from tests.waiting import until, until_async
from workmanager.local.valkey import ValkeyServer

PERMISSIONS = [f"+{command}" for command in sorted(roles()["worker"].commands | roles()["manager"].commands)]
KEYS = ["allkeys", "allchannels"]


@pytest.fixture
async def url(private_server: ValkeyServer) -> str:
    """The server's URL for user `old`, which has all necessary permissions at first."""
    await load_functions(private_server.url)
    private_server.command("ACL", "SETUSER", "old", "on", ">secret", "-@all", *PERMISSIONS, *KEYS)
    return f"redis://old:secret@127.0.0.1:{private_server.port}"


@pytest.mark.parametrize(
    ("revoked", "operation"),
    [("-get", "GET"), ("-fcall", "script claim"), ("-zadd", "script claim"), ("resetkeys", "script claim")],
)
async def test_the_error_names_the_user_the_command_and_the_remedy(
    private_server: ValkeyServer, url: str, revoked: str, operation: str
) -> None:
    shards = await Shards.connect(url)
    (shard,) = shards
    await enqueue_jobs(shard, "a")
    private_server.command("ACL", "SETUSER", "old", revoked)
    is_get = operation == "GET"
    call = shard.execute(("GET", "rq:x")) if is_get else claim(shard, "w1", ["default"], 1, retry_seconds=5)
    with pytest.raises(NotPermitted) as raised:
        await call
    message = str(raised.value)
    await shards.close()
    assert "\n" not in message
    for word in ("user old", operation, "jobqueue.acl", "ACL LOAD", f"127.0.0.1:{private_server.port}"):
        assert word in message


async def test_a_worker_logs_missing_permissions_once_and_recovers(
    private_server: ValkeyServer, url: str, tmp_path: Path
) -> None:
    private_server.command("ACL", "SETUSER", "old", "-zadd")
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker_node", "--redis-url", url, "--slots", "1"), stderr=output
        )
    shards = await Shards.connect(private_server.url)
    (shard,) = shards
    try:
        await asyncio.to_thread(until, lambda: "refuses user old" in log.read_text())
        await enqueue(shard, [new_job("a")])
        private_server.command("ACL", "SETUSER", "old", "+zadd")

        async def is_done() -> bool:
            return [result.job_id for result in await pull(shard, 1)] == ["a"]

        await until_async(is_done, wanted="the job's result")
        assert worker.returncode is None
    finally:
        worker.terminate()
        await worker.wait()
        await shards.close()
    logged = log.read_text()
    assert "Traceback" not in logged
    assert logged.count("event=claim_unavailable") <= 1
