"""pytest plugin: RQ's tests get a worker class whose `work` runs a process of our worker instead.

Its other methods stay RQ's. A test that calls those tells nothing of our worker: it is counted apart.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rq
import rq.worker
import rq.worker.worker_classes

OUR_WORKER = Path(__file__).parent / "limited_worker.py"
INTERNALS = (
    *("perform_job", "execute_job", "prepare_execution", "prepare_job_execution", "handle_job_success"),
    *("handle_job_failure", "handle_job_retry", "run_maintenance_tasks", "clean_registries", "monitor_work_horse"),
)
used: set[str] = set()
"""What the running test has used: 'ours' and 'internals'."""


class OurWorker(rq.worker.SimpleWorker):
    """RQ's worker, with ours for its loop."""

    def work(self, burst: bool = False, max_jobs: int | None = None, **_: Any) -> bool:  # type: ignore[override]
        used.add("ours")
        settings = self.connection.connection_pool.connection_kwargs
        url = f"redis://{settings.get('host', '127.0.0.1')}:{settings['port']}/{settings.get('db', 0)}"
        options = ["--burst", "--redis-url", url, "--slots", "1", "--name", self.name]
        options += ["--queues", ",".join(self.queue_names())]
        environment = {
            **os.environ,
            "WORKMANAGER_FUNCTIONS": ",".join(sorted(_modules())),
            "WORKMANAGER_ALLOW_PICKLE": "1",
            "WORKMANAGER_JOB_ENVIRONMENT": "PYTHONPATH",
            "MAX_JOBS": str(max_jobs or ""),
        }
        completed = subprocess.run(
            [sys.executable, str(OUR_WORKER), *options],
            env=environment,
            check=True,
            timeout=120,
            stderr=subprocess.PIPE,
            text=True,
        )
        sys.stderr.write(completed.stderr)
        return True


def pytest_configure() -> None:
    """Replace RQ's classes before the tests import them."""
    for name in INTERNALS:
        for kind in (rq.worker.BaseWorker, rq.worker.Worker, rq.worker.SimpleWorker):
            if name in vars(kind):
                setattr(kind, name, _noting(getattr(kind, name)))
    for module in (rq, rq.worker, rq.worker.worker_classes):
        for name in ("Worker", "SimpleWorker"):
            if hasattr(module, name):
                setattr(module, name, OurWorker)


def _modules() -> set[str]:
    """Return the modules that have job functions: those of the tests that run."""
    return {name for name in sys.modules if name.startswith("tests.")}


def _noting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        used.add("internals")
        return method(*arguments, **options)

    return wrapper


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note what a test has used."""
    report: pytest.TestReport = yield
    if call.when == "setup":
        used.clear()
    if call.when == "call":
        report.user_properties.append(("used", " ".join(sorted(used))))
        if call.excinfo is not None:
            error = f"{call.excinfo.typename}: {call.excinfo.value}".splitlines()[0]
            report.user_properties.append(("error", error[:120]))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tests in which our worker ran, and count the others."""
    groups: dict[str, list[str]] = {}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            where = properties.get("used") or "neither"
            name = "::".join(report.nodeid.removeprefix("tests/").split("::"))
            error = f"    {properties['error']}" if "error" in properties else ""
            groups.setdefault(f"{where} {outcome}", []).append(f"  {name}{error}")
    for title in sorted(groups, reverse=True):
        terminalreporter.write_line(f"{title}: {len(groups[title])}")
        if title.startswith("ours") or title.endswith("failed"):
            terminalreporter.write_line("\n".join(sorted(groups[title])))
