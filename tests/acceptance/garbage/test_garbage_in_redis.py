"""No honest job is lost, no route fails and no program ends, whatever others write into Redis meanwhile.

WORKMANAGER_TEST_GARBAGE_SECONDS=600 runs it for longer, and then also destroys the leases of running jobs;
WORKMANAGER_TEST_GARBAGE_SEED=n repeats a run's damage.
"""

import hashlib
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from jobqueue.lifecycle.leases import RESCUE_GRACE_SECONDS
from tests.acceptance.garbage.garbage_writer import VICTIMS, GarbageWriter
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.worker_node.conftest import Worker
from tests.waiting import DEADLINE_SECONDS, until

SHORT_SECONDS = 8.0
SECONDS = float(os.environ.get("WORKMANAGER_TEST_GARBAGE_SECONDS", SHORT_SECONDS))
SEED = int(os.environ.get("WORKMANAGER_TEST_GARBAGE_SEED", 0)) or random.randrange(1, 2**32)
ROUTES = (
    "/jobs",
    "/jobs?status=failed",
    "/status",
    "/workers",
    "/queues",
    "/metrics",
    "/scaler",
    "/healthz",
    "/readyz",
    "/limits",
    "/limits/k",
    "/schedules",
    "/callbacks",
    "/operations",
    "/audit",
)
_UNEXPECTED = r"event=\w+_crashed|event=request_failed|event=outcome_rejected|event=\w+_stopped"
"""Events that an error in our own code leads to. RQ's code, which reads its dependents, may log what it likes."""
VIEWS = ("", "/explain", "/logs", "/events?wait=0")
VERBS = ("cancel", "requeue")
PAUSE_SECONDS = 0.003
"""Between two pieces of damage."""


def unexpected_events(log: str) -> list[str]:
    """Return the events in a program's log that an error in our own code leads to."""
    return re.findall(_UNEXPECTED, log)


@contextmanager
def _running(writer: GarbageWriter) -> Iterator[None]:
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(PAUSE_SECONDS):
            writer.damage()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        writer.close()


class HonestClient:
    """Submits jobs, asks every route and pulls results; notes every answer that is no better than a crash."""

    def __init__(self, http: httpx.Client) -> None:
        self.crashes: list[str] = []
        self.accepted: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self._http = http

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._http.request(method, path, **options)
        if answer.status_code == 500:
            self.crashes.append(f"{method} {path}: {answer.text[:300]}")
        return answer

    def submit(self, number: int) -> None:
        content, job_id = f"honest {number}".encode(), f"honest-{number}"
        answer = self.request("PUT", "/enqueue", params={"iterations": 1, "id": job_id}, content=content)
        if answer.status_code == 200:
            self.accepted[job_id] = hashlib.sha512(content).hexdigest()

    def pull(self) -> None:
        answer = self.request("POST", "/pullCompleted", params={"top": 100})
        if answer.is_success:
            self.results |= {result["Work ID"]: result["Value"] for result in answer.json()}

    def missing(self) -> set[str]:
        """Return the accepted jobs whose result has neither been pulled nor can be read."""
        for job_id in self.accepted.keys() - self.results.keys():
            job = self.request("GET", f"/jobs/{job_id}")
            if job.is_success and job.json()["status"] == "finished":
                self.results[job_id] = job.json()["result"]
        return self.accepted.keys() - self.results.keys()


def test_garbage_in_redis_loses_no_honest_job_and_ends_no_program(redis_url: str, tmp_path: Path) -> None:
    long = SECONDS > SHORT_SECONDS
    manager = ManagerProgram(tmp_path / "managers", redis_url)
    worker = Worker(redis_url, tmp_path / "worker.log", "--slots", "2")
    try:
        manager.wait_until_ready()
        worker.wait_until_started()
        names = re.findall(r"event=worker_started worker=(\S+)", worker.log_text)
        writer = GarbageWriter(redis_url, SEED, lambda: names, also_leases=long)
        with manager.client() as http:
            client = HonestClient(http)
            with _running(writer):
                ends_at = time.monotonic() + SECONDS
                number = 0
                while time.monotonic() < ends_at:
                    client.submit(number)
                    client.request("GET", ROUTES[number % len(ROUTES)])
                    client.request("GET", f"/jobs/victim-{number % VICTIMS}{VIEWS[number % len(VIEWS)]}")
                    if number % 5 == 0:
                        client.pull()
                    if number % 11 == 0:
                        client.request("POST", f"/jobs/victim-{number * 7 % VICTIMS}/{VERBS[number % 2]}")
                    if number % 13 == 0:
                        client.request("DELETE", f"/jobs/victim-{number * 3 % VICTIMS}")
                    number += 1
            patience = DEADLINE_SECONDS + (4 * RESCUE_GRACE_SECONDS if long else 0)
            until(lambda: not client.missing(), wanted=f"all results, seed {SEED}", seconds=patience)
            assert client.crashes == [], f"seed {SEED}"
            assert client.results.items() >= client.accepted.items(), f"seed {SEED}"
            assert len(client.accepted) > SECONDS, f"seed {SEED}"
            assert writer.damages > SECONDS * 10
        assert manager.process.poll() is None, manager.log
        assert worker.process.poll() is None, worker.log_text
        for log in (manager.log, worker.log_text):
            assert unexpected_events(log) == [], f"seed {SEED}"
    finally:
        worker.kill()
        manager.kill()
