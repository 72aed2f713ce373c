"""What jobs forge reaches no answer of a manager: no route fails, and honest jobs run once."""

from pathlib import Path

from tests.acceptance.garbage.test_garbage_in_redis import ROUTES, HonestClient, unexpected_events
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.worker_node import forging_jobs
from tests.acceptance.worker_node.conftest import JOBS, Worker
from tests.waiting import until

FORGE, GARBLE = (f"{forging_jobs.__name__}.{name}" for name in ("forge", "garble"))
GARBLERS = 8


def test_forged_reports_fail_no_route_and_no_honest_job(redis_url: str, tmp_path: Path) -> None:
    modules = f"{JOBS},{forging_jobs.__name__}"
    manager = ManagerProgram(tmp_path / "managers", redis_url, FUNCTIONS=modules)
    worker = Worker(redis_url, tmp_path / "worker.log", "--slots", "2", FUNCTIONS=modules)
    notes = str(tmp_path / "notes")
    calls = [(FORGE, how) for how in forging_jobs.HARM] + [(GARBLE, seed) for seed in range(GARBLERS)]
    try:
        manager.wait_until_ready()
        with manager.client() as http:
            client = HonestClient(http)
            forgers = []
            for number, (function, how) in enumerate(calls):
                client.submit(number)
                body = {"function": function, "args": [notes, how], "timeout": 5}
                forgers.append(client.request("POST", "/jobs", json=body).json()["id"])

            def ended() -> bool:
                for route in ROUTES:
                    client.request("GET", route)
                client.pull()
                statuses = {client.request("GET", f"/jobs/{job_id}").json()["status"] for job_id in forgers}
                return not client.missing() and statuses <= {"finished", "failed"}

            until(ended, wanted="the end of all jobs")
            assert client.crashes == []
            assert len(client.accepted) == len(calls)
        assert (manager.process.poll(), worker.process.poll()) == (None, None)
        assert [event for log in (manager.log, worker.log_text) for event in unexpected_events(log)] == []
    finally:
        worker.kill()
        manager.kill()
