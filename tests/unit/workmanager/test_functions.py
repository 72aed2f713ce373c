"""Functions that are decorated as jobs: what is submitted, by which client, and what workers and type checkers see."""

import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue.functions import FunctionRegistry
from tests.unit.workmanager import texts
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.aio import AsyncClient
from workmanager.client import Client
from workmanager.errors import UsageError
from workmanager.executor import JobExecutor
from workmanager.functions import job_function
from workmanager.testing import InlineClient

ROOT = Path(__file__).parents[3]
MODULE = "tests.unit.workmanager.texts"


def _sent(manager: ScriptedManager) -> dict[str, Any]:
    job: dict[str, Any] = json.loads(manager.requests[0].body)
    del job["id"]
    return job


def test_a_job_has_the_arguments_of_the_call_and_the_options_of_the_decorator() -> None:
    with ScriptedManager(Answer({"id": "a", "status": "queued"})) as manager, Client(manager.url) as client:
        assert texts.most_common.submit(client, "to be", count=1).id == "a"
    options = {"queue": "texts", "timeout": 60, "retry": {"max": 1}}
    assert _sent(manager) == {"function": f"{MODULE}.most_common", "args": ["to be"], "kwargs": {"count": 1}, **options}


async def test_the_client_for_asyncio_is_awaited() -> None:
    with ScriptedManager(Answer({"id": "a", "status": "queued"})) as manager:
        async with AsyncClient(manager.url) as client:
            job = await texts.most_common.submit(client, "to be")
    assert job.id == "a"
    assert _sent(manager)["args"] == ["to be"]


def test_one_call_can_have_other_options() -> None:
    expected: dict[str, Any] = {"function": f"{MODULE}.most_common", "args": ("to be",), "kwargs": {}}
    expected |= {"queue": "slow", "delay": 60, "timeout": 60, "retry": {"max": 1}}
    assert texts.most_common.options(queue="slow", delay=60).submission("to be") == expected
    assert texts.most_common.submission("to be")["queue"] == "texts"


def test_jobs_run_inline_in_tests() -> None:
    client = InlineClient()
    assert texts.most_common.submit(client, "to be or not to be", count=2).result() == {"to": 2, "be": 2}
    assert texts.later.submit(client, "x").result() == "x"
    assert texts.length.submit(client, data=b"four", factor=2).result() == 8
    many = [texts.most_common.submission(text) for text in ("a", "b b")]
    assert [client.job(str(job_id))["result"] for job_id in client.submit_many(many)] == [{"a": 1}, {"b": 2}]
    assert [job["queue"] for job in client.jobs()] == ["texts", "default", "default", "texts", "texts"]


def test_bytes_that_are_not_given_by_name_are_refused_with_what_to_do() -> None:
    with InlineClient() as client, JobExecutor(client) as executor:
        calls: list[Any] = [
            lambda: texts.length.submit(client, b"four"),
            lambda: executor.submit(texts.length, bytearray(b"four")),
            lambda: client.submit("json.loads", args=[memoryview(b"1")]),
        ]
        for call in calls:
            with pytest.raises(UsageError, match="bytes for a function marked binary are given by name, as `data=`"):
                call()
        assert [*client.jobs()] == []


def test_a_decorated_function_is_the_function_itself() -> None:
    assert texts.most_common("a a b", 1) == {"a": 2}
    assert inspect.isfunction(texts.most_common)
    assert inspect.iscoroutinefunction(texts.later)
    assert pickle.loads(pickle.dumps(texts.most_common)) is texts.most_common
    registered = FunctionRegistry.discover([MODULE]).paths
    assert {f"{MODULE}.{name}" for name in ("most_common", "later", "length")} <= registered.keys()
    with InlineClient() as client, JobExecutor(client) as executor:
        assert executor.submit(texts.most_common, "a").job_id in {job["id"] for job in client.jobs()}


def test_a_function_that_workers_cannot_import_is_refused_when_it_is_submitted() -> None:
    @job_function()
    def inner() -> None: ...

    with pytest.raises(UsageError, match="give a function of the top level of a module"):
        inner.submit(InlineClient())


def test_the_example_of_the_documents_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, section = (ROOT / "docs/functions.md").read_text().partition("\n## Submit your own functions from Python\n")
    module, program = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[:2]
    (tmp_path / "texts.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "texts", raising=False)
    client = InlineClient()
    monkeypatch.setattr("workmanager.client.Client", lambda urls: client)
    exec(compile(program, "docs/functions.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["{'to': 2}", "{'so': 2, 'it': 1, 'goes': 1}"]
    assert [job["queue"] for job in client.jobs()] == ["orders", "reports", "orders", "orders"]
    del sys.modules["texts"]


def test_workers_import_no_client_for_the_decorator() -> None:
    code = "import sys, workmanager.functions; sys.exit('workmanager.client' in sys.modules or 'json' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_type_checkers_see_the_arguments_and_the_handles(tmp_path: Path) -> None:
    program = tmp_path / "checked_program.py"
    program.write_text(f"""
from {MODULE} import later, most_common
from workmanager.aio import AsyncClient
from workmanager.client import Client

def wrong(client: Client) -> None:
    most_common.submit(client, 1)
    most_common.submit(client, "a", number=1)
    most_common.options(queue="x", args=[]).submit(client, "a")

async def right(client: Client, aio: AsyncClient) -> None:
    reveal_type(most_common.submit(client, "a", count=1))
    reveal_type(await later.submit(aio, "a"))
    reveal_type(most_common("a"))
""")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", str(program)]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=300, check=False).stdout
    # Not its directory: mypy keeps what it has told of a module that has not changed.
    lines = re.findall(r"^.*checked_program\.py:(\d+): (\w+): (.*)$", told, re.MULTILINE)
    assert sorted({number for number, kind, _ in lines if kind == "error"}) == ["7", "8", "9"], told
    revealed = [re.sub(r"Revealed type is |[a-z]*\.", "", text) for _, _, text in lines if text.startswith("Revealed")]
    assert revealed == ['"JobHandle"', '"AsyncJobHandle"', '"dict[str, int]"']
