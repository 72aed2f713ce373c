"""What running jobs tell of themselves: how far they are, and lines of a log."""

import re
import time
from pathlib import Path

import pytest

from jobqueue.lifecycle.notes import LOG_LINES, read_log
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer

MEGABYTE = 1_000_000


async def log_of(client: Client, job_id: str, after: str = "") -> list[str]:
    page = await read_log(client.shards.of(job_id), job_id, after, 1000)
    return [line.text for line in page.lines]


@pytest.mark.parametrize("isolation", ["none", "job"])
async def test_progress_and_lines_are_seen_while_the_job_runs(
    client: Client, start_worker: MakeWorker, isolation: str
) -> None:
    job_id = await client.enqueue("tell_and_wait")
    start_worker(client.url, ISOLATION=isolation)

    async def told() -> bool:
        view = await client.view(job_id)
        return view.status == "started" and view.progress is not None and bool(await log_of(client, job_id))

    await until_async(told, wanted="progress of a running job")
    view = await client.view(job_id)
    assert view.progress is not None
    assert (view.progress["done"], view.progress["total"], view.progress["text"]) == (1, 3, "tile ü")
    assert await log_of(client, job_id) == ["first", "two", "lines"]


async def test_what_a_job_tells_right_before_its_end_is_kept(client: Client, start_worker: MakeWorker) -> None:
    tracked, failing = await client.enqueue("track_three"), await client.enqueue("tell_and_fail")
    worker = start_worker(client.url)
    assert await client.value(tracked) == 3
    await client.wait_until_ended(failing)
    assert worker.terminate() == 0, "a worker writes what it has before it exits"
    view = await client.view(tracked)
    assert view.progress is not None
    assert (view.progress["done"], view.progress["total"]) == (3, 3)
    assert await log_of(client, failing) == ["before the failure"]


async def test_a_job_that_tells_too_much_harms_nobody(client: Client, start_worker: MakeWorker) -> None:
    job_id = await client.enqueue("tell_a_lot", 3000)
    neighbour = await client.enqueue("pid")
    worker = start_worker(client.url)
    await client.value(job_id)
    await client.value(neighbour)
    assert worker.terminate() == 0
    page = await read_log(client.shards.of(job_id), job_id, "", 2000)
    assert len(page.lines) <= LOG_LINES
    assert max(len(line.text) for line in page.lines) <= 2000


async def test_a_job_that_prints_100_megabytes_harms_nobody(
    client: Client, start_worker: MakeWorker, shared_server: ValkeyServer
) -> None:
    worker = start_worker(client.url, "--slots", "2", KEEP_OUTPUT="all")
    await client.value(await client.enqueue("pid"))
    agent_bytes, redis_bytes = _peak_bytes(worker.process.pid), _stored_bytes(shared_server)
    loud = await client.enqueue("print_megabytes", 100)
    await client.wait_for_status(loud, "started", "finished")
    started = time.monotonic()
    await client.value(await client.enqueue("pid"))
    assert time.monotonic() - started < 5, "a job beside it does not wait for it"
    await client.value(loud)
    agent_bytes = _peak_bytes(worker.process.pid) - agent_bytes
    assert worker.terminate() == 0
    lines = (await read_log(client.shards.of(loud), loud, "", 2 * LOG_LINES)).lines
    assert (lines[0].text, lines[-1].text) == ("x" * 99, "x" * 99)
    assert len(lines) <= LOG_LINES
    assert any("are left out here" in line.text for line in lines)
    assert worker.log.stat().st_size < 8 * MEGABYTE
    assert _stored_bytes(shared_server) - redis_bytes < 8 * MEGABYTE
    assert agent_bytes < 32 * MEGABYTE


@pytest.mark.parametrize("isolation", ["none", "job"])
async def test_what_a_failed_job_has_printed_is_there_when_it_is_seen_to_have_failed(
    client: Client, start_worker: MakeWorker, isolation: str
) -> None:
    worker = start_worker(client.url, ISOLATION=isolation, LOG_REDACT=r"ACME-\d+")
    for _ in range(5):
        job_id = await client.enqueue("print_a_secret_and_fail")
        await client.wait_until_ended(job_id)
        page = await read_log(client.shards.of(job_id), job_id, "", 10)
        assert [(line.number, line.attempt) for line in page.lines] == [(1, 1), (2, 1)]
        assert {(line.stream, line.text) for line in page.lines} == {
            ("stdout", "password=[redacted], key [redacted]"),
            ("log", "token: [redacted]"),
        }
    assert worker.terminate() == 0
    assert worker.log_text.count("password=[redacted], key [redacted]") == 5
    assert "hunter2" not in worker.log_text


def test_a_wrong_pattern_of_secrets_ends_the_worker_in_one_line(start_worker: MakeWorker) -> None:
    worker = start_worker("redis://127.0.0.1:1", LOG_REDACT="[hush")
    assert worker.wait() == 2
    assert worker.log_text.count("\n") == 1
    assert "WORKMANAGER_LOG_REDACT: pattern 1 is no regular expression" in worker.log_text
    assert "hush" not in worker.log_text


async def test_what_is_no_progress_fails_the_job_that_tells_it(client: Client, start_worker: MakeWorker) -> None:
    job_id = await client.enqueue("tell_nonsense")
    start_worker(client.url)
    failed = await client.wait_until_ended(job_id)
    assert failed.error is not None
    assert failed.error.message.startswith("RuntimeError: not understood")


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _stored_bytes(server: ValkeyServer) -> int:
    return int(server.command("INFO", "memory")["used_memory"])
