"""A supervised process and its restarts, on a clock that the tests set."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.waiting import until
from workmanager.local.supervised_process import (
    FIRST_BACKOFF_SECONDS,
    MAX_BACKOFF_SECONDS,
    STABLE_SECONDS,
    SupervisedProcess,
)


@pytest.fixture
def failing() -> Iterator[SupervisedProcess]:
    process = SupervisedProcess("failing", [sys.executable, "-S", "-c", "raise SystemExit(3)"], environ={})
    yield process
    process.kill()


@pytest.fixture
def sleeping() -> Iterator[SupervisedProcess]:
    process = SupervisedProcess("sleeping", ["/bin/sleep", "60"], environ={})
    yield process
    process.kill()


@pytest.fixture(autouse=True)
def _own_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)  # processes print to a real file


def _wait_for_exit(process: SupervisedProcess) -> None:
    until(lambda: process.exit_code is not None, wanted="the end of the process")


def _restart_times(process: SupervisedProcess, *, from_second: float, count: int) -> list[float]:
    """Advance the clock by half a second at a time. Return the times at which the process was restarted."""
    times: list[float] = []
    now = from_second
    while len(times) < count:
        _wait_for_exit(process)
        last = process.started_at
        process.restart_if_due(now)
        if process.started_at != last:
            times.append(now)
        now += 0.5
    return times


def test_the_backoff_before_restarts_grows_to_a_limit(failing: SupervisedProcess) -> None:
    failing.start(0.0)
    times = _restart_times(failing, from_second=0.0, count=7)
    pauses = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 2 * FIRST_BACKOFF_SECONDS
    assert pauses[-1] == MAX_BACKOFF_SECONDS + 0.5  # noticed at the next half second


def test_a_process_that_ran_for_long_is_restarted_soon(failing: SupervisedProcess) -> None:
    failing.start(0.0)
    times = _restart_times(failing, from_second=0.0, count=4)
    _wait_for_exit(failing)
    exited_at = times[-1] + 2 * STABLE_SECONDS
    restarts = _restart_times(failing, from_second=exited_at, count=1)
    assert restarts == [exited_at + FIRST_BACKOFF_SECONDS]


def test_a_running_process_is_not_restarted(sleeping: SupervisedProcess) -> None:
    sleeping.start(0.0)
    sleeping.restart_if_due(1_000.0)
    assert sleeping.exit_code is None
    assert sleeping.started_at == 0.0


def test_the_exit_code_names_the_signal_that_ended_the_process(sleeping: SupervisedProcess) -> None:
    sleeping.start(0.0)
    sleeping.terminate()
    _wait_for_exit(sleeping)
    assert sleeping.exit_code == -signal.SIGTERM


def test_a_process_has_the_file_descriptors_it_inherits_and_no_others() -> None:
    reading, writing = os.pipe()
    process = SupervisedProcess(
        "heir", [sys.executable, "-S", "-c", f"import os; os.fstat({reading})"], environ={}, inherited_fds=[reading]
    )
    stranger = SupervisedProcess(
        "stranger", [sys.executable, "-S", "-c", f"import os; os.fstat({writing})"], environ={}
    )
    try:
        process.start(0.0)
        stranger.start(0.0)
        _wait_for_exit(process)
        _wait_for_exit(stranger)
        assert process.exit_code == 0
        assert stranger.exit_code == 1
    finally:
        os.close(reading)
        os.close(writing)


class ExitedProcess:
    """A process that has exited with code 3."""

    pid = 1

    def poll(self) -> int:
        return 3


def test_the_backoff_has_its_limit_after_thousands_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: ExitedProcess())
    process = SupervisedProcess("failing", [], environ={})
    now = 0.0
    process.start(now)
    for _ in range(2_000):
        process.restart_if_due(now)  # notices the exit
        now += MAX_BACKOFF_SECONDS
        process.restart_if_due(now)
        assert process.started_at == now
