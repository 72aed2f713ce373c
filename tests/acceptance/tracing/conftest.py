"""A manager and workers that trace, and the collector that they send to."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.callback_receiver import Receiver
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.worker_node.conftest import Worker
from tests.otlp_receiver import OtlpReceiver
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

JOBS = "tests.acceptance.tracing.traced_jobs"
JOINED = "joined"
"""The queue of a worker whose runs are in the trace of the submission; those of the other one are linked to it."""
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""A span of a client, as W3C's standard gives it."""
CALLER_PLACE = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


@dataclass(frozen=True, slots=True)
class System:
    """The programs, a client of the manager, the collector, and a service that callbacks and jobs call."""

    manager: ManagerProgram
    workers: Sequence[Worker]
    http: httpx.Client
    collector: OtlpReceiver
    service: Receiver

    def run(self, job_id: str, function: str, *args: object, traceparent: str | None = CALLER, **fields: object) -> str:
        """Submit a job, wait until it has ended, and return its status."""
        headers = {} if traceparent is None else {"traceparent": traceparent}
        body = {"id": job_id, "function": function, "args": args, "feed": False, **fields}
        assert self.http.post("/jobs", json=body, headers=headers).status_code == 201
        return self.ended(job_id)

    @property
    def log(self) -> str:
        """Of all programs."""
        return "".join([self.manager.log, *(worker.log_text for worker in self.workers)])

    def log_line(self, event: str, job_id: str) -> Any:
        """Wait for the line that a program logs of a job; return it."""

        def found() -> list[Any]:
            lines = [json.loads(line) for line in self.log.splitlines(keepends=True) if _is_json(line)]
            return [line for line in lines if (line.get("event"), line.get("job_id")) == (event, job_id)]

        until(found, wanted=f"{event} of {job_id}")
        (line,) = found()
        return line

    def ended(self, job_id: str) -> str:
        """Wait until a job has ended; return its status."""
        return str(self.http.get(f"/jobs/{job_id}?wait=30").json()["status"])


def _is_json(line: str) -> bool:
    """Return whether a line is a whole event: libraries in jobs log text, and the last line may be unfinished."""
    return line.startswith("{") and line.endswith("}\n")


@pytest.fixture(scope="module")
def system(shared_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    shared_server.command("FLUSHALL")
    url, directory = shared_server.url, tmp_path_factory.mktemp("tracing")
    settings = {"FUNCTIONS": JOBS, "LOG_FORMAT": "json", "HTTP_ALLOW": "127.0.0.1"}
    with OtlpReceiver() as collector, Receiver() as service, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        workers = [
            Worker(url, directory / "linked.log", "--queues", "default,reports", TRACES="linked", **settings),
            Worker(url, directory / "joined.log", "--queues", JOINED, TRACES="joined", **settings),
        ]
        manager = ManagerProgram(directory / "managers", url, TRACES="linked", CALLBACK_ALLOW="127.0.0.1", **settings)
        manager.wait_until_ready()
        with manager.client() as http:
            started = System(manager, workers, http, collector, service)
            yield started
        for program in (*workers, manager):
            program.kill()
    assert "Traceback" not in started.log
