"""How a worker stands back for the other programs of its machine."""

import subprocess
import sys
import threading

import pytest

from worker_node.priority import agent_niceness, set_autogroup_nice


def test_an_agent_goes_before_its_jobs() -> None:
    assert [agent_niceness(nice) for nice in (0, 15, 19)] == [0, 10, 12]


def test_a_kernel_that_is_busy_is_told_again() -> None:
    answers = [BlockingIOError(), BlockingIOError(), None]
    told = threading.Event()

    def write() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        told.set()

    set_autogroup_nice(write)
    assert told.wait(60)
    assert answers == []


def test_a_kernel_that_refuses_is_told_once_and_the_log_tells(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def write() -> None:
        calls.append(1)
        raise PermissionError("no")

    set_autogroup_nice(write)
    assert calls == [1]
    assert "event=priority_not_lowered" in caplog.text


def _niceness(program: str) -> str:
    return subprocess.check_output([sys.executable, "-c", program], text=True, start_new_session=True).strip()


def test_what_a_process_starts_stands_back_with_it() -> None:
    program = "import os; from worker_node.priority import lower_priority; lower_priority(7); os.system('nice')"
    assert _niceness(program) == "7"


def test_who_stands_back_already_does_not_come_forward() -> None:
    program = (
        "import os; from worker_node.priority import lower_priority; os.nice(12); lower_priority(7); os.system('nice')"
    )
    assert _niceness(program) == "12"


def test_zero_changes_nothing() -> None:
    assert (
        _niceness("import os; from worker_node.priority import lower_priority; lower_priority(0); os.system('nice')")
        == "0"
    )
