"""Modules of WORKMANAGER_FUNCTIONS on a worker: edited while it runs, missing, or not Python."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobqueue.functions import source_hash
from jobqueue.job_view import JobView
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import NewJob
from jobqueue.workers.registry import list_workers
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.waiting import until


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `texts` on the import path of workers."""
    directory = tmp_path / "functions"
    directory.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{directory}:{Path.cwd()}")
    source = directory / "texts.py"
    source.write_text(_returning(1))
    return source


def _write(source: Path, text: str | bytes | None) -> None:
    """Write a module; None removes it."""
    if text is None:
        source.unlink()
    else:
        source.write_bytes(text.encode() if isinstance(text, str) else text)


def _returning(value: int) -> str:
    return f"def call():\n    return {value}\n"


async def _run(client: Client, path: str = "texts.call", *args: Any, **fields: Any) -> JobView:
    """Run one job to its end."""
    job_id = client.shards.new_id()
    data = json.dumps([path, None, args, {}]).encode()
    await enqueue(client.shards.of(job_id), [NewJob(job_id, path, data, **fields)])
    return await client.wait_until_ended(job_id)


async def test_an_edit_counts_for_the_next_job_if_functions_are_reloaded(
    client: Client, start_worker: MakeWorker, module: Path
) -> None:
    worker = start_worker(client.url, "--slots", "2", FUNCTIONS="texts", RELOAD_FUNCTIONS="true")
    for value in (1, 2, 3, 4):
        # Of the same size, and within a second: cached bytecode would be taken for up to date.
        _write(module, _returning(value))
        for _ in range(4):
            ended = await _run(client)
            assert (ended.status, ended.result, ended.attempts) == ("finished", b"%d" % value, 1)
    assert "reason=functions_changed" in worker.log_text
    assert "event=executor_died" not in worker.log_text


async def test_a_function_added_after_the_start_runs_if_functions_are_reloaded(
    client: Client, start_worker: MakeWorker, module: Path
) -> None:
    start_worker(client.url, FUNCTIONS="texts", RELOAD_FUNCTIONS="true")
    assert (await _run(client)).result == b"1"
    _write(module, _returning(1) + "def later():\n    return 'new'\n")
    assert (await _run(client, "texts.later")).result == b'"new"'


async def test_an_edit_of_an_imported_helper_counts_for_the_next_job(
    client: Client, start_worker: MakeWorker, module: Path
) -> None:
    helper = module.with_name("helper.py")
    _write(helper, "VALUE = 1\n")
    _write(module, "import helper\n\ndef call():\n    return helper.VALUE\n")
    start_worker(client.url, FUNCTIONS="texts", RELOAD_FUNCTIONS="true")
    assert (await _run(client)).result == b"1"
    _write(helper, "VALUE = 2\n")
    assert (await _run(client)).result == b"2"


async def test_an_edit_that_breaks_a_module_fails_jobs_until_it_is_mended(
    client: Client, start_worker: MakeWorker, module: Path
) -> None:
    start_worker(client.url, FUNCTIONS="texts", RELOAD_FUNCTIONS="true")
    assert (await _run(client)).result == b"1"
    _write(module, "def call(:\n")
    broken = await _run(client)
    assert broken.error is not None
    assert broken.error.reason == "rejected"
    assert "texts.py, line 1" in broken.error.message
    _write(module, None)
    assert "no source file" in str((await _run(client)).error)
    _write(module, _returning(2))
    assert (await _run(client)).result == b"2"


async def test_without_reloading_the_record_tells_which_version_ran(
    client: Client, start_worker: MakeWorker, module: Path
) -> None:
    start_worker(client.url, "--queues", "default", FUNCTIONS="texts")
    first = source_hash(module)
    assert re.fullmatch("[0-9a-f]{12}", first)
    assert [(await _run(client)).version, (await _run(client, result_ttl_seconds=600)).version] == [first, first]
    _write(module, "def call():\n    raise ValueError('of the new version')\n")
    ended = await _run(client)
    assert (ended.status, ended.result, ended.version) == ("finished", b"1", first)
    start_worker(client.url, "--queues", "second", FUNCTIONS="texts")
    failed = await _run(client, queue="second")
    assert (failed.status, failed.version) == ("failed", source_hash(module))
    assert (await _run(client, "worker_node.functions.noop")).version is None


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"def call(:\n", "texts.py, line 1"),
        (b"x = 1\0", "null bytes"),
        (b"# coding: latin-7000\n", "unknown encoding"),
        (b"x = '\xff'\n", "utf-8"),
        (b"def call():\n\treturn 1\n        return 2\n", "texts.py, line 3"),
        (b"x = " + b"(" * 5000, "texts"),
        (None, "no source file on the import path (see PYTHONPATH)"),
    ],
    ids=["syntax", "null", "coding", "bytes", "indentation", "nesting", "missing"],
)
async def test_a_module_that_cannot_be_read_fails_its_own_jobs_alone(
    client: Client, start_worker: MakeWorker, module: Path, source: bytes | None, why: str
) -> None:
    _write(module, source)
    worker = start_worker(client.url, FUNCTIONS="texts,tests.acceptance.worker_node.job_functions")
    failed = await _run(client, retries=3)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.reason, failed.function) == ("rejected", "texts.call")
    assert why in failed.error.message
    assert (await _run(client, "worker_node.functions.noop")).status == "finished"
    assert (await _run(client, "tests.acceptance.worker_node.job_functions.coroutine", 7)).result == b"7"
    assert "event=functions_unreadable module=texts" in worker.log_text
    (record,) = await list_workers(client.shards.all[0])
    assert [why in problem for problem in record.problems] == [True]


@pytest.mark.parametrize("source", ["import no_such_library", "1 / 0", "raise SystemExit(3)"])
async def test_a_module_that_fails_at_its_import_fails_its_own_jobs_alone(
    client: Client, start_worker: MakeWorker, module: Path, source: str
) -> None:
    _write(module, f"{source}\n{_returning(1)}")
    worker = start_worker(client.url, FUNCTIONS="texts")
    failed = await _run(client)
    assert failed.error is not None
    assert (failed.status, failed.error.reason) == ("failed", "exception")
    # The line is written once Redis has recorded the failure.
    until(lambda: "function=texts.call" in worker.log_text)
    assert "texts.py" in failed.error.traceback
    assert (await _run(client, "worker_node.functions.noop")).status == "finished"
