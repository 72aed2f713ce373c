"""What a job can change in its process for the jobs after it: undone, or a reason to replace the process.

`docs/isolation.md` lists it for users. Hot path: see docs/isolation.md#what-it-costs.
"""

import _thread
import sys

from worker_node.executor.failures import text_of
from worker_node.executor.isolation.children import ChildWatch
from worker_node.executor.isolation.descriptors import DescriptorWatch
from worker_node.executor.isolation.interpreter_state import InterpreterState
from worker_node.executor.isolation.system_state import SystemState

MAX_THREADS_LEFT = 64
"""If jobs have left more threads running, the process is replaced. A thread cannot be ended from outside."""
MAX_REASON_CHARS = 160


class ProcessState:
    """The state of this process in which each job finds it.

    What the import of a function's module changes belongs to it: that happens once, not for each job.

    Args:
        children: ends what jobs leave behind.
        max_descriptor_growth: how many descriptors jobs may leave open.
    """

    def __init__(self, children: ChildWatch, max_descriptor_growth: int) -> None:
        self._system = SystemState()
        self._interpreter = InterpreterState()
        self._children = children
        self._descriptors = DescriptorWatch(max_descriptor_growth)
        self._keep_counts()

    def keep_imports(self) -> None:
        """If modules have been imported since the last job, take the present state as the one to restore."""
        if len(sys.modules) != self._modules:
            self._system.keep()
            self._interpreter.keep()
            self._children.keep()
            self._descriptors.keep()
            self._keep_counts()

    def restore(self, *, thorough: bool) -> str:
        """Undo what a job has changed.

        Args:
            thorough: whether to look also for what is rare, or takes long to find.

        Returns:
            what cannot be undone, so that the process must be replaced; '' for nothing.
        """
        # A signal handler that the job has left can interrupt the first try.
        problem = self._restore(thorough=thorough) and self._restore(thorough=thorough)
        self._modules = len(sys.modules)
        return problem

    def _keep_counts(self) -> None:
        self._most_threads = _thread._count() + MAX_THREADS_LEFT
        self._modules = len(sys.modules)

    def _restore(self, *, thorough: bool) -> str:
        try:
            self._system.restore(thorough=thorough)
            self._interpreter.restore()
            if problem := self._children.end_others():
                return problem
            if self._descriptors.exceeded(count=thorough):
                return "too many open files"
            if _thread._count() > self._most_threads:
                return "too many threads"
        except BaseException as error:  # noqa: BLE001 - what the job has left runs code of its own
            return text_of(error)[:MAX_REASON_CHARS]
        return ""
