"""What jobs use of RQ, `rq.get_current_job()` and `rq.Retry`, for those executors alone whose functions import RQ.

RQ and redis-py would take most of an executor's start and much of its memory, and most functions need neither.
"""

from contextvars import ContextVar, Token
from typing import Any

from worker_node.executor.import_watch import ImportWatch
from worker_node.executor.running_job import RunningJob, current


class RqSupport:
    """Tells RQ which job runs.

    Attributes:
        retry: `rq.Retry`, or `()` as long as it is not imported and nothing can be one.
    """

    def __init__(self, imports: ImportWatch) -> None:
        self.retry: type | tuple[()] = ()
        self._current: ContextVar[Any] | None = None
        imports.call("rq.job", self._note_import)

    def begin(self, running: RunningJob) -> Token[Any] | None:
        """Note that a job runs now. Give what this returns to `end`."""
        current.job = running
        return None if self._current is None else _set_current(self._current, running)

    def end(self, token: Token[Any] | None) -> None:
        """Note that the job has ended."""
        current.job = None
        if token is not None and self._current is not None:
            self._current.reset(token)

    def _note_import(self, module: Any) -> None:
        """Note that `rq.job` has just been imported, perhaps by the running job."""
        self.retry = module.Retry
        variable = self._current = module._current_job
        if current.job is not None:
            # In the job's own context, which ends with it.
            _set_current(variable, current.job)


def _set_current(variable: ContextVar[Any], running: RunningJob) -> Token[Any]:
    from worker_node.executor.current_job import CurrentJob

    return variable.set(CurrentJob(running.agent, running.sequence, running.job_id, pickled=running.pickled))
