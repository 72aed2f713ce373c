"""A program that is kept running, by a clock that the tests turn."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.waiting import until
from workmanager.local.supervised_process import SupervisedProcess


@pytest.fixture
def failing() -> Iterator[SupervisedProcess]:
    program = SupervisedProcess("failing", [sys.executable, "-S", "-c", "raise SystemExit(3)"], environ={})
    yield program
    program.kill()


@pytest.fixture
def sleeping() -> Iterator[SupervisedProcess]:
    program = SupervisedProcess("sleeping", ["/bin/sleep", "60"], environ={})
    yield program
    program.kill()


@pytest.fixture(autouse=True)
def _own_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)  # programs print to a real file


def _end(program: SupervisedProcess) -> None:
    until(lambda: program.exit_code is not None, wanted="the program's end")


def _restart_times(program: SupervisedProcess, *, from_second: float, count: int) -> list[float]:
    """The clock's readings, in halves of a second, at which the program was started again."""
    times: list[float] = []
    now = from_second
    while len(times) < count:
        _end(program)
        last = program.started_at
        program.restart_if_due(now)
        if program.started_at != last:
            times.append(now)
        now += 0.5
    return times


def test_the_pauses_before_its_restarts_grow_to_a_limit(failing: SupervisedProcess) -> None:
    failing.start(0.0)
    times = _restart_times(failing, from_second=0.0, count=7)
    pauses = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1.0
    assert pauses[-1] == 15.5  # noticed at the next half second


def test_one_that_ran_for_long_is_started_again_soon(failing: SupervisedProcess) -> None:
    failing.start(0.0)
    times = _restart_times(failing, from_second=0.0, count=4)
    _end(failing)
    ended_at = times[-1] + 60.0
    assert _restart_times(failing, from_second=ended_at, count=1) == [ended_at + 0.5]


def test_one_that_runs_is_left_alone(sleeping: SupervisedProcess) -> None:
    sleeping.start(0.0)
    sleeping.restart_if_due(1_000.0)
    assert sleeping.exit_code is None
    assert sleeping.started_at == 0.0


def test_its_exit_code_tells_the_signal_that_ended_it(sleeping: SupervisedProcess) -> None:
    sleeping.start(0.0)
    sleeping.terminate()
    _end(sleeping)
    assert sleeping.exit_code == -signal.SIGTERM


def test_it_holds_what_it_inherits_and_nothing_else() -> None:
    reading, writing = os.pipe()
    program = SupervisedProcess(
        "heir", [sys.executable, "-S", "-c", f"import os; os.fstat({reading})"], environ={}, inherited_fds=[reading]
    )
    stranger = SupervisedProcess(
        "stranger", [sys.executable, "-S", "-c", f"import os; os.fstat({writing})"], environ={}
    )
    try:
        program.start(0.0)
        stranger.start(0.0)
        _end(program)
        _end(stranger)
        assert program.exit_code == 0
        assert stranger.exit_code == 1
    finally:
        os.close(reading)
        os.close(writing)
