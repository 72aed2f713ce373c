"""The client that runs jobs in the process of a test."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.acceptance.sha512 import sha512
from worker_node.functions import PermanentError, binary
from workmanager import job
from workmanager.client import ClientError, Completed, Conflict, JobFailed, NotFound
from workmanager.errors import UsageError
from workmanager.executor import JobExecutor
from workmanager.testing import InlineClient

ROOT = Path(__file__).parents[3]


def _double(number: int) -> int:
    return 2 * number


async def _later() -> str:
    return "awaited"


@binary
def _length(data: bytes) -> int:
    return len(data)


def _sum() -> int:
    job.log("adding")
    job.progress(1, 2, "half")
    return int(sum(job.parent_results().values()))


def _tell(text: str | None) -> None:
    job.progress(1, None, text)


FUNCTIONS = {"tell": _tell, "double": _double, "later": _later, "length": _length, "sum": _sum}


@pytest.fixture
def client() -> InlineClient:
    return InlineClient(FUNCTIONS)


def test_a_job_has_run_when_it_is_submitted(client: InlineClient) -> None:
    with client:
        handle = client.handle(client.submit("double", args=[4], queue="sums", labels={"order": "7"}))
        assert handle.result() == 8
    (view,) = client.jobs(status="finished", queue="sums", label="order:7")
    assert (view["id"], view["function"], view["args"], view["attempts"]) == (handle.id, "double", [4], 1)
    assert [*client.jobs(label="order:8")] == []


def test_arguments_and_results_are_json(client: InlineClient) -> None:
    assert client.handle(client.submit("json.loads", args=["[1, 2]"])).result() == [1, 2]
    assert client.handle(client.submit("later")).result() == "awaited"
    assert client.handle(client.submit("length", data=b"\0bytes")).result() == 6
    with pytest.raises(UsageError, match="JSON"):
        client.submit("double", args=[{1}])
    with pytest.raises(JobFailed, match="TypeError"):
        client.handle(client.submit("builtins.set")).result()


def test_results_are_pulled_once(client: InlineClient) -> None:
    first = client.enqueue(b"data", iterations=3)
    second = client.submit("double", args=[1])
    client.submit("double", args=[2], feed=False)
    assert client.pull() == [Completed(second, 2), Completed(first, sha512(b"data", 3))]
    assert client.pull() == []


def test_a_failure_is_retried_and_a_permanent_one_is_not() -> None:
    calls: list[type[Exception]] = []

    def fail(kind: str) -> None:
        calls.append(PermanentError if kind == "permanent" else OSError)
        raise calls[-1]("no")

    client = InlineClient({"fail": fail})
    for kind, attempts in (("permanent", 1), ("passing", 3)):
        view = client.job(client.submit("fail", args=[kind], retry={"max": 2, "intervals": [60]}))
        assert (view["status"], view["attempts"], view["error"]["reason"]) == ("failed", attempts, "exception")
    assert calls == [PermanentError, OSError, OSError, OSError]


def test_a_job_reads_the_results_of_those_before_it_and_tells_how_far_it_is(client: InlineClient) -> None:
    parents = [client.submit("double", args=[number]) for number in (1, 2)]
    total = client.submit("sum", depends_on=parents)
    assert client.handle(total).result() == 6
    progress = client.job(total)["progress"]
    assert {**progress, "at": None} == {"done": 1, "total": 2, "text": "half", "at": None}
    assert [line["text"] for line in client.logs(total)["lines"]] == ["adding"]
    with pytest.raises(RuntimeError, match="no job is running"):
        job.id()


def test_a_progress_without_a_text_or_with_a_long_one_is_told(client: InlineClient) -> None:
    for text, shown in ((None, ""), ("x" * 1_000_000, "x" * 1024)):
        told = client.submit("tell", args=[text])
        progress = client.job(told)["progress"]
        assert {**progress, "at": None} == {"done": 1, "total": None, "text": shown, "at": None}


def test_a_job_whose_parent_failed_is_canceled_unless_it_waits_for_any_end(client: InlineClient) -> None:
    failed = client.submit("double")
    with pytest.raises(JobFailed, match="dependency_failed"):
        client.handle(client.submit("noop", depends_on=[failed])).result()
    assert client.handle(client.submit("noop", depends_on=[{"id": failed, "when": "ended"}])).result() is None


def test_what_managers_refuse_is_refused(client: InlineClient) -> None:
    client.submit("noop", id="a")
    assert client.submit("noop", id="a") == "a"
    with pytest.raises(Conflict, match="other content"):
        client.submit("double", id="a")
    client.submit("noop", unique={"key": "k", "within": 60})
    with pytest.raises(Conflict, match="unique"):
        client.submit("noop", unique={"key": "k", "within": 60})
    with pytest.raises(NotFound):
        client.job("b")
    for function in ("nothing", "json._private", "json.nothing", "no_such_module.f", "..f"):
        with pytest.raises(ClientError, match=function.rpartition(".")[2]):
            client.submit(function)
    lists: list[Callable[[], Iterable[Any]]] = [client.schedules.list, client.operations.list, client.callbacks.list]
    for ask in (*lists, client.system.workers):
        with pytest.raises(UsageError, match="no manager"):
            list(ask())
    assert len([*client.jobs()]) == 2


def test_jobs_as_they_end_map_and_an_executor_work_as_with_managers(client: InlineClient) -> None:
    ids = [client.submit("noop") for _ in range(3)]
    assert [handle.id for handle in client.as_completed(ids)] == ids
    assert list(client.map("double", [1, 2, 3])) == [2, 4, 6]
    many: list[Any] = [{"function": "noop"}, {"function": "nothing"}, {"args": []}]
    results: list[Any] = [*client.submit_many(many)]
    assert [isinstance(result, ClientError) for result in results] == [False, True, True]
    with JobExecutor(client) as executor:
        assert list(executor.map(json.loads, ["1", "2"])) == [1, 2]


def test_the_documented_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def most_common(text: str, count: int) -> dict[str, int]:
        return dict(Counter(text.split()).most_common(count))

    monkeypatch.setitem(sys.modules, "texts", SimpleNamespace(most_common=most_common))  # that of the README
    _, _, section = (ROOT / "docs/functions.md").read_text().partition("\n## Test programs that submit jobs\n")
    names: dict[str, Any] = {}
    exec(section.partition("```python\n")[2].partition("```")[0], names)
    names["test_an_order_counts_its_words"]()
