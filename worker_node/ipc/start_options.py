"""What an executor is told when it starts, as the one argument on its command line.

It is JSON: `argparse` would cost each executor a megabyte, which each fork for an isolated job would copy the tables of
(docs/decisions/0019).
"""

import json
import sys
from collections.abc import Sequence
from typing import NamedTuple


class StartOptions(NamedTuple):
    """What an executor is told when it starts.

    Attributes:
        jobs_fd, queries_fd: its ends of the two socket pairs (`protocol.py`).
        status_fd, withdrawals_fd: the shared pages (`status_page.py`).
        agent_pid: of the process that starts it, and with which it ends.
        functions: the modules of WORKMANAGER_FUNCTIONS.
        allow_pickle: whether pickled jobs may run.
        reload_functions: whether it ends when the source of its functions has changed.
        isolates: whether each job runs in a fork of it.
        job_limits: what jobs may use (`LimitTable.text`).
        log_level: of `logging` if jobs do not configure it.
        measures_output: whether reports tell where the output of their jobs is.
        nice: CPU niceness.
        max_growth_files: how many files jobs may leave open until it is replaced.
    """

    jobs_fd: int
    queries_fd: int
    status_fd: int
    withdrawals_fd: int
    agent_pid: int
    functions: Sequence[str]
    allow_pickle: bool
    reload_functions: bool
    isolates: bool
    job_limits: str
    log_level: str
    measures_output: bool
    nice: int
    max_growth_files: int

    @property
    def command_line(self) -> list[str]:
        """The command that starts an executor with these options."""
        return [sys.executable, "-m", "worker_node.executor", json.dumps(self._asdict())]

    @classmethod
    def parse(cls, argument: str) -> "StartOptions":
        """Return the options in an executor's argument."""
        return cls(**json.loads(argument))
