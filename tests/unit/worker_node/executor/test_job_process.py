"""The process of a job, before the job begins."""

from pathlib import Path

from tests.processes import is_alive
from tests.waiting import until
from worker_node.executor.agent_client import AgentClient
from worker_node.executor.isolation.job_process import JobProcess
from worker_node.ipc.frames import FrameWriter
from worker_node.ipc.protocol import TaskOutcome, TaskReport


def test_a_process_whose_executor_is_gone_ends_without_its_job(tmp_path: Path) -> None:
    def job(_: AgentClient) -> TaskReport:
        (tmp_path / "ran").touch()
        return TaskReport(1, TaskOutcome.FINISHED, "noop", 0.0, b"", None)

    process = JobProcess.fork(1, job, FrameWriter(b""), lambda: None)
    try:
        process.close()  # As the system does it when an executor ends.
        until(lambda: not is_alive(process.pid), 10, wanted="its end")
    finally:
        process.kill()
    assert not (tmp_path / "ran").exists()
