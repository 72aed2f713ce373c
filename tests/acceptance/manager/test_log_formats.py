"""Logs of a manager and a worker as JSON, and at a collector."""

import json
import socket
import sys
from pathlib import Path
from subprocess import PIPE, run
from typing import Any

from tests.acceptance.manager.conftest import Start
from tests.acceptance.worker_node.conftest import Worker


def lines_of(log: str) -> list[dict[str, Any]]:
    """Return the lines of a log, all of which must be JSON."""
    return [json.loads(line) for line in log.splitlines()]


def test_a_system_logs_json_to_standard_error_and_to_a_collector(start: Start, redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        to = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        manager = start(redis_url, LOG_FORMAT="json", LOG_TO=to).wait_until_ready()
        collected, _ = listener.accept()
        with collected, manager.client() as client:
            job_id = client.put("/enqueue?iterations=1", content=b"x", headers={"X-Request-Id": "own"}).json()[
                "Work ID"
            ]
            other = client.post("/jobs", json={"function": "noop"}).json()["id"]
            assert "workmanager_log_lines_dropped_total 0" in client.get("/metrics").text
            worker = Worker(redis_url, tmp_path / "worker.log", "--burst", LOG_FORMAT="json")
            assert worker.wait() == 0
            assert manager.stop() == 0
            received = b"".join(iter(lambda: collected.recv(1 << 16), b"")).decode()
    lines = lines_of(manager.log)
    assert lines_of(received) == lines
    requests = {line["path"]: line for line in lines if line.get("event") == "request_completed"}
    assert requests["/enqueue"].items() >= {"request": "own", "job_id": job_id, "status": 200, "level": "info"}.items()
    assert requests["/jobs"]["job_id"] == other
    assert requests["/enqueue"]["ms"] > 0
    (stopped,) = [line for line in lines_of(worker.log_text) if line.get("event") == "worker_stopped"]
    assert stopped["finished"] == 2


def test_a_wrong_collector_ends_a_program_in_one_line(redis_url: str) -> None:
    for module in ("manager", "worker_node"):
        ran = run(
            [sys.executable, "-m", module],
            env={"PATH": "", "WORKMANAGER_LOG_TO": "https://collector", "WORKMANAGER_REDIS_URL": redis_url},
            stderr=PIPE,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
        assert ran.stderr.startswith("WORKMANAGER_LOG_TO: ")
