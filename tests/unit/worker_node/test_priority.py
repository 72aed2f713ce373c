"""The CPU priority of agent and executors."""

import os
import subprocess
import sys
import threading

import pytest

from worker_node.priority import agent_niceness, set_autogroup_nice


def test_the_agent_has_a_higher_priority_than_its_jobs() -> None:
    assert [agent_niceness(nice) for nice in (0, 15, 19)] == [0, 10, 12]


def test_the_autogroup_change_is_retried_while_the_kernel_is_busy() -> None:
    results = [BlockingIOError(), BlockingIOError(), None]
    written = threading.Event()

    def write() -> None:
        error = results.pop(0)
        if error is not None:
            raise error
        written.set()

    set_autogroup_nice(write)
    assert written.wait(60)
    assert results == []


def test_a_refused_autogroup_change_is_not_retried_but_logged(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def write() -> None:
        calls.append(1)
        raise PermissionError("no")

    set_autogroup_nice(write)
    assert calls == [1]
    assert "event=priority_not_lowered" in caplog.text


def _niceness(program: str, before: int = 0) -> int:
    """Return the niceness of a child of a program that begins with `before` more than this one has."""
    script = (
        f"import os; from worker_node.priority import lower_priority; os.nice({before}); {program}; os.system('nice')"
    )
    return int(subprocess.check_output([sys.executable, "-c", script], text=True, start_new_session=True))


def test_child_processes_inherit_the_niceness() -> None:
    assert _niceness("lower_priority(7)") == max(7, os.nice(0))


def test_a_lower_priority_is_not_raised() -> None:
    assert _niceness("lower_priority(7)", before=12) == min(19, os.nice(0) + 12)


def test_niceness_zero_changes_nothing() -> None:
    assert _niceness("lower_priority(0)") == os.nice(0)
