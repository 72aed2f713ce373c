"""The job that runs in this process: what `rq.get_current_job()` and `workmanager.job` are about."""

from typing import NamedTuple

from worker_node.executor.agent_client import AgentClient


class RunningJob(NamedTuple):
    """A task's number, its job, whether its record is a pickle, who answers its queries, and the span of its run."""

    agent: AgentClient
    sequence: int
    job_id: str
    pickled: bool
    trace: str | None = None


class _Current:
    """Holds the running job. One per process: a process runs one job at a time, in whatever threads it likes."""

    __slots__ = ("job",)

    def __init__(self) -> None:
        self.job: RunningJob | None = None


current = _Current()
