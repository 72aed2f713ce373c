"""The manager together with plain RQ: each runs the jobs of the other, and both show them."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import environment
from tests.integration.plain_rq import job_functions
from tests.waiting import until

FUNCTIONS = job_functions.__name__
ROOT = Path(__file__).parents[3]

StartModule = Callable[..., None]


@pytest.fixture
def http(start: Start, redis_url: str) -> Iterator[httpx.Client]:
    """A client of a manager that has the test functions registered."""
    manager = start(redis_url, FUNCTIONS=FUNCTIONS).wait_until_ready()
    with manager.client() as client:
        yield client


@pytest.fixture
def run_module() -> Iterator[StartModule]:
    """Return a function that starts `python -m …` in the background."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*command: str) -> None:
        settings = environment(FUNCTIONS=FUNCTIONS)
        started.append(subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=settings))

    yield run
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        process.wait(60)


def test_a_plain_rq_worker_runs_jobs_submitted_over_http(
    http: httpx.Client, redis_url: str, run_module: StartModule
) -> None:
    put = http.put("/enqueue", params={"iterations": 1}, content=b"abc").json()["Work ID"]
    submitted = http.post("/jobs", json={"function": f"{FUNCTIONS}.add", "args": [20, 22]}).json()["id"]
    run_module("rq.cli", "worker", "--url", redis_url, "--serializer", "rq.serializers.JSONSerializer", "--burst")
    assert ended(http, put)["result"].startswith("ddaf35a193617aba")
    shown = ended(http, submitted)
    assert (shown["status"], shown["result"], shown["function"]) == ("finished", 42, f"{FUNCTIONS}.add")


def test_text_of_any_script_is_read_by_everybody(http: httpx.Client, redis_url: str, run_module: StartModule) -> None:
    text = "é я 字 😀 \u2028 \x1b"
    job = http.post("/jobs", json={"function": f"{FUNCTIONS}.add", "args": [text, text]}).json()["id"]
    run_module("worker_node", "--redis-url", redis_url, "--slots", "1")
    assert ended(http, job)["result"] == text * 2
    stock = Job.fetch(job, connection=Redis.from_url(redis_url), serializer="json")
    assert stock.return_value() == text * 2
    assert http.post("/pullCompleted", params={"top": 1}).json() == [{"Work ID": job, "Value": text * 2}]


def test_the_meta_of_a_plain_rq_job_shows_while_it_runs(
    http: httpx.Client, redis_url: str, run_module: StartModule, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    queue = Queue(connection=Redis.from_url(redis_url), serializer="json")
    job = queue.enqueue(job_functions.report_progress, str(gate))
    run_module("worker_node", "--redis-url", redis_url, "--slots", "1")

    def shown() -> Any:
        view = http.get(f"/jobs/{job.id}").json()
        return view if view["meta"] == {"progress": 50} else None

    assert until(shown)["status"] == "started"
    gate.touch()
    view = ended(http, job.id)
    assert view["result"] == f"{job.id} started 50"
    assert http.post("/pullCompleted", params={"top": 10}).json() == []


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    view: dict[str, Any] = http.get(f"/jobs/{job_id}", params={"wait": 55}).json()
    assert view["ended_at"], view
    return view
