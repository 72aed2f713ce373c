"""A job finds no secret of its worker."""

import pytest

from tests import another_user
from tests.acceptance.worker_node.conftest import Client, MakeWorker

SECRETS = {"AWS_SECRET_ACCESS_KEY": "hush-aws", "GITHUB_TOKEN": "hush-token", "https_proxy": "http://me:hush@proxy"}


async def test_jobs_see_the_variables_that_programs_need_and_those_that_the_operator_names(
    client: Client, start_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SECRETS, "DATABASE_URL": "postgresql://app", "APP_MODE": "test"}.items():
        monkeypatch.setenv(name, value)
    worker = start_worker(client.url, API_KEYS="hush-key-of-a-client", JOB_ENVIRONMENT="DATABASE_URL, APP_*")
    seen = await client.value(await client.enqueue("environment"))
    assert {"PATH", "HOME"} <= seen.keys()
    assert (seen["DATABASE_URL"], seen["APP_MODE"]) == ("postgresql://app", "test")
    assert "hush" not in str(seen)
    assert [name for name in seen if name.startswith("WORKMANAGER_")] == []
    (line,) = [line for line in worker.log_text.splitlines() if "event=variables_kept_from_jobs" in line]
    names = line.partition(" names=")[2].split(",")
    assert names == sorted(names)
    assert SECRETS.keys() <= set(names)
    assert "hush" not in worker.log_text


@pytest.mark.skipif(not another_user.IS_POSSIBLE, reason=another_user.REASON)
async def test_a_job_of_the_same_user_cannot_look_into_its_agent(client: Client, start_worker: MakeWorker) -> None:
    worker = start_worker(client.url, prefix=another_user.PREFIX, NICE="3")
    found = await client.value(await client.enqueue("read_the_agent"))
    assert set(found.values()) == {"PermissionError"}, found
    assert await client.value(await client.enqueue("read_itself")) == "65534"
    assert worker.terminate() == 0
    assert "WARNING" not in worker.log_text
