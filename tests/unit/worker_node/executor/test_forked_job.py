"""When the process for the next job is not made ahead, and when it is not left alone."""

import os
import signal
import socket

import pytest

from worker_node.executor.agent_client import AgentClient
from worker_node.executor.isolation.children import ChildWatch
from worker_node.executor.isolation.forked_job import ForkRunner
from worker_node.executor.isolation.job_process import JobProcess
from worker_node.ipc.protocol import TaskOutcome, TaskReport

REPORT = TaskReport(1, TaskOutcome.FINISHED, "noop", 0.0, b"", None)


class _NoWatch(ChildWatch):
    """Ends no process of this one's, and notes which one it was to spare."""

    def __init__(self, *, can_spare: bool) -> None:
        self.can_spare = can_spare
        self.spared: int | None = None

    def keep(self) -> None:
        pass

    def end_others(self, spared: int | None = None) -> str:
        self.spared = spared
        return ""


@pytest.mark.parametrize("can_spare", [True, False])
def test_no_process_is_made_ahead_where_it_could_not_be_told_from_what_a_job_leaves_behind(
    monkeypatch: pytest.MonkeyPatch, can_spare: bool
) -> None:
    made = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: made.append(1) or fork())
    with socket.socket() as agent:
        forks = ForkRunner(AgentClient(agent, b""), _NoWatch(can_spare=can_spare), lambda: None)
        report = forks.run(1, lambda _: REPORT, lambda: forks.prepare(2, lambda _: REPORT))
        assert forks.end() == ""
        forks.discard_prepared()
    assert list(report) == list(REPORT)
    assert len(made) == 1 + can_spare


def test_a_prepared_process_whose_job_may_have_begun_is_not_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(process: JobProcess) -> bool:
        process.close()
        raise KeyboardInterrupt

    watch = _NoWatch(can_spare=True)
    with socket.socket() as agent:
        forks = ForkRunner(AgentClient(agent, b""), watch, lambda: None)
        forks.run(1, lambda _: REPORT, lambda: forks.prepare(2, lambda _: REPORT))
        forks.end()
        prepared = watch.spared
        assert prepared is not None
        monkeypatch.setattr(JobProcess, "begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forks.run(2, lambda _: REPORT, lambda: None)
        forks.end()
    os.kill(prepared, signal.SIGKILL)
    os.waitpid(prepared, 0)
    assert watch.spared is None
