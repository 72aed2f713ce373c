"""Client commands, run as processes against a whole system."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.sha512 import sha512
from tests.workmanager_up import WorkmanagerUp

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkmanagerUp]:
    up = WorkmanagerUp(tmp_path_factory.mktemp("system") / "run")
    up.start("--max-workers", "1")
    up.wait_until_ready()
    yield up
    assert up.stop() == 0
    up.kill_all()


class Shell:
    """Runs `workmanager` against the system."""

    def __init__(self, system: WorkmanagerUp) -> None:
        self._system = system
        self._environ = {**os.environ, "WORKMANAGER_URL": ",".join(system.urls), "PYTHONPATH": os.getcwd()}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workmanager", *arguments]
        return subprocess.run(
            command, env=self._environ, input=stdin, capture_output=True, text=True, check=False, timeout=180
        )

    def json(self, *arguments: str) -> list[Any]:
        """Run a command that must succeed, and return the JSON lines it prints."""
        done = self.run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def shell(system: WorkmanagerUp) -> Shell:
    return Shell(system)


def test_a_file_is_submitted_waited_for_and_pulled(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)))
    accepted, ended = shell.json("submit", str(path), "--iterations", "10", "--wait")
    assert accepted["source"] == str(path)
    assert (ended["id"], ended["status"]) == (accepted["id"], "finished")
    (result,) = shell.json("pull", "--wait", "55")
    assert result == {"Work ID": accepted["id"], "Value": sha512(path.read_bytes(), 10)}
    assert shell.json("pull") == []


def test_a_leased_result_is_acknowledged(shell: Shell) -> None:
    accepted, _ = shell.json("submit", "--function", "noop", "--wait")
    (result,) = shell.json("pull", "--lease", "300", "--wait", "55")
    assert result == {"Work ID": accepted["id"], "Value": None}
    assert shell.json("ack", accepted["id"]) == []
    assert shell.json("pull") == []


def test_a_failed_job_shows_its_reason_and_can_be_requeued(shell: Shell) -> None:
    done = shell.run("submit", "--function", "sleep", "--kwargs", '{"seconds": "wrong"}', "--wait", "--json")
    assert done.returncode == 1
    ended = json.loads(done.stdout.splitlines()[-1])
    assert (ended["status"], ended["error"]["reason"]) == ("failed", "exception")
    assert [job["id"] for job in shell.json("jobs", "--status", "failed")] == [ended["id"]]
    shell.json("requeue", ended["id"])
    (again,) = shell.json("job", ended["id"], "--wait", "55")
    assert again["status"] == "failed"
    assert shell.json("requeue", "--queue", ended["queue"], "--failed")


def test_a_running_job_is_stopped(shell: Shell) -> None:
    (accepted,) = shell.json("submit", "--function", "sleep", "--kwargs", '{"seconds": 60}')
    shell.json("cancel", accepted["id"])
    (ended,) = shell.json("job", accepted["id"], "--wait", "55")
    assert ended["status"] in {"canceled", "stopped"}


def test_the_status_counts_jobs_and_workers(shell: Shell) -> None:
    (status,) = shell.json("status")
    assert {"Jobs", "Workers"} <= status.keys()


def test_a_refused_job_is_one_line(shell: Shell) -> None:
    done = shell.run("submit", "--function", "no.such_function")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("workmanager: ")
    assert done.stderr.count("\n") == 1
    assert "no.such_function" in done.stderr


def test_the_options_of_a_job_reach_its_record(shell: Shell) -> None:
    (accepted,) = shell.json(
        *("submit", "--function", "noop", "--args", "[1]", "--kwargs", '{"n": 2}', "--queue", "reports"),
        *("--at", "2099-01-31 08:00:00+01:00", "--timeout", "60", "--retry", "2", "--retry-intervals", "5,10"),
        *("--meta", '{"order": 42}', "--id", "january", "--lifo", "--result-ttl", "60", "--no-feed"),
    )
    assert accepted == {"id": "january", "source": "noop"}
    (job,) = shell.json("job", "january")
    expected = {"args": [1], "kwargs": {"n": 2}, "queue": "reports", "status": "scheduled", "timeout": 60}
    expected |= {"due_at": "2099-01-31T07:00:00.000000Z", "retries_left": 2, "meta": {"order": 42}}
    assert {name: job[name] for name in expected} == expected


def test_a_key_refuses_a_second_job_for_its_time(shell: Shell) -> None:
    unique = ("submit", "--function", "noop", "--unique", "invoices", "--within", "600")
    (first,) = shell.json(*unique)
    second = shell.run(*unique)
    assert (second.returncode, second.stdout, second.stderr.count("\n")) == (1, "", 1)
    assert first["id"] in second.stderr


def test_lines_from_standard_input_are_jobs_and_each_refused_one_is_named(shell: Shell) -> None:
    lines = [{"function": "sleep", "kwargs": {"seconds": 0}, "meta": {"n": n}} for n in range(3)]
    lines.insert(1, {"function": "no.such_function"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = shell.run("submit", "--batch", "-", "--wait", "--json", stdin=text)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr, [answer["line"] for answer in answers[:4]]) == (1, "", [1, 2, 3, 4])
    assert answers[1]["error"]["status"] == 422
    assert "no.such_function" in answers[1]["error"]["detail"]
    ids = [answer["id"] for answer in answers[:4] if "id" in answer]
    assert [(job["id"], job["status"], job["meta"]) for job in answers[4:]] == [
        (job_id, "finished", {"n": number}) for number, job_id in enumerate(ids)
    ]
