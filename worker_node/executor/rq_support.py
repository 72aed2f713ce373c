"""What jobs use of RQ, `rq.get_current_job()` and `rq.Retry`, for those executors alone whose functions import RQ.

RQ and redis-py would take most of an executor's start and much of its memory, and most functions need neither.
"""

import sys
from collections.abc import Sequence
from contextvars import ContextVar, Token
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from worker_node.executor.running_job import RunningJob, current

_MODULE = "rq.job"


class RqSupport:
    """Tells RQ which job runs. One per process: create it before functions are imported.

    Attributes:
        retry: `rq.Retry`, or `()` as long as it is not imported and nothing can be one.
    """

    def __init__(self) -> None:
        self.retry: type | tuple[()] = ()
        self._current: ContextVar[Any] | None = None
        module = sys.modules.get(_MODULE)
        if module is None:
            sys.meta_path.insert(0, _Finder(self))
        else:
            self.note_import(module)

    def begin(self, running: RunningJob) -> Token[Any] | None:
        """Note that a job runs now. Give what this returns to `end`."""
        current.job = running
        return None if self._current is None else _set_current(self._current, running)

    def end(self, token: Token[Any] | None) -> None:
        """Note that the job has ended."""
        current.job = None
        if token is not None and self._current is not None:
            self._current.reset(token)

    def note_import(self, module: Any) -> None:
        """Note that `rq.job` has just been imported, perhaps by the running job."""
        self.retry = module.Retry
        variable = self._current = module._current_job
        if current.job is not None:
            # In the job's own context, which ends with it.
            _set_current(variable, current.job)


class _Finder:
    """Finds `rq.job` as usual, and tells when it has been imported.

    It and the loader have no base class: `importlib.abc` would import `tempfile`, `random` and more.
    """

    def __init__(self, support: RqSupport) -> None:
        self._support = support

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader, self._support)
            spec.loader = loader
        return spec


class _Loader:
    def __init__(self, loader: Any, support: RqSupport) -> None:
        self._loader = loader
        self._support = support

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._support.note_import(module)


def _set_current(variable: ContextVar[Any], running: RunningJob) -> Token[Any]:
    from worker_node.executor.current_job import CurrentJob

    return variable.set(CurrentJob(running.agent, running.sequence, running.job_id, pickled=running.pickled))
