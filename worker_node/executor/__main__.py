"""`python -m worker_node.executor OPTIONS`: a child process that runs the jobs of one slot, one after another.

The agent starts it (`slots/executor_process.py`) and both speak the protocol of `ipc/protocol.py`. It exits when the
agent closes its end of the sockets.
"""

import contextlib
import io
import os
import socket
import sys
from typing import TYPE_CHECKING

from jobqueue.functions import FunctionRegistry
from processes.parent_death import die_with_parent
from worker_node.executor.agent_client import AgentClient
from worker_node.executor.calls import CallDecoder
from worker_node.executor.executor import Executor
from worker_node.executor.isolation.children import ChildWatch
from worker_node.executor.job_runner import JobRunner
from worker_node.executor.output_meter import OutputMeter
from worker_node.executor.plain_logging import set_up_plain_logging
from worker_node.ipc.frames import new_key
from worker_node.ipc.start_options import StartOptions
from worker_node.ipc.status_page import StatusPage, WithdrawalPage
from worker_node.job_limits import LimitTable
from worker_node.priority import lower_priority

if TYPE_CHECKING:
    from worker_node.executor.isolation.process_state import ProcessState
    from worker_node.executor.source_watch import SourceWatch

OOM_SCORE_ADJUSTMENT = 500
"""Half of the maximum of /proc/PID/oom_score_adj, see proc(5)."""


def main(argument: str) -> None:
    """Run jobs until the agent closes the connection or ends; `argument` holds the `StartOptions`."""
    options = StartOptions.parse(argument)
    die_with_parent(options.agent_pid)
    _raise_oom_score()
    lower_priority(options.nice)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # Shows what a job prints while it is running.
    if options.reload_functions:
        sys.dont_write_bytecode = True  # Cached code hides an edit within the same second.
    functions = FunctionRegistry.load(options.functions)
    key, children, withdrawals = new_key(), ChildWatch(), WithdrawalPage.open(options.withdrawals_fd)
    output = OutputMeter(withdrawals, measures=options.measures_output)
    executor = Executor(
        jobs=socket.socket(fileno=options.jobs_fd),
        key=key,
        agent=AgentClient(socket.socket(fileno=options.queries_fd), key),
        status=StatusPage(options.status_fd),
        withdrawals=withdrawals,
        runner=JobRunner(
            CallDecoder(functions, allow_pickle=options.allow_pickle), LimitTable.parse(options.job_limits)
        ),
        children=children,
        state=_process_state(options, children),
        sources=_source_watch(options, functions),
        output=output,
        isolates=options.isolates,
        log_level=options.log_level,
    )
    exit_code = executor.run()
    output.flush()
    os._exit(exit_code)  # A normal exit would wait for threads that jobs have left running.


def _process_state(options: StartOptions, children: ChildWatch) -> "ProcessState | None":
    """Return what restores the process after jobs; None if none runs in it, and none of their code decodes a record.

    Imported only where it is needed, like what `_source_watch` returns: they import `logging`, `threading` and
    `random`, which run code of their own in each fork for an isolated job (docs/decisions/0019).
    """
    if options.isolates and not options.allow_pickle:
        return None
    from worker_node.executor.isolation.process_state import ProcessState

    set_up_plain_logging(options.log_level)
    return ProcessState(children, options.max_growth_files)


def _source_watch(options: StartOptions, functions: FunctionRegistry) -> "SourceWatch | None":
    if not options.reload_functions or not functions.modules:
        return None
    from worker_node.executor.source_watch import SourceWatch

    return SourceWatch(functions)


def _raise_oom_score() -> None:
    """When memory runs out, make the kernel kill an executor rather than the agent or Redis."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(OOM_SCORE_ADJUSTMENT))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].startswith("{"):
        from jobqueue.settings import exit_with_usage_error

        exit_with_usage_error("an executor is started by a worker, which gives it its options: start that instead")
    main(sys.argv[1])
