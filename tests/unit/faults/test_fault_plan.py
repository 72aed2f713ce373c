"""The plan of a fault run follows from its seed alone."""

import random
from itertools import islice

from tests.acceptance.faults.fault_plan import MAX_PAUSE_SECONDS, FaultStep, named_steps, random_steps

NAMES = ["link cut", "host lost", "disk full", "agent killed"]


def _mixed(seed: int, count: int = 12, names: list[str] = NAMES) -> list[FaultStep]:
    return list(islice(random_steps(names, seed, 20.0), count))


def test_the_same_seed_gives_the_same_plan() -> None:
    assert _mixed(7) == _mixed(7) == _mixed(7, names=NAMES[::-1])
    assert _mixed(7) != _mixed(8)
    assert _mixed(7, 20)[:12] == _mixed(7, 12), "a shorter run is the beginning of a longer one"


def test_every_fault_comes_once_before_any_repeats() -> None:
    steps = _mixed(7)
    for begin in (0, 4, 8):
        assert sorted(step.fault for step in steps[begin : begin + 4]) == sorted(NAMES)


def test_each_step_has_its_own_random_choices() -> None:
    steps = _mixed(7, 100)
    assert len({random.Random(step.seed).random() for step in steps}) == 100


def test_random_durations_are_full_half_or_short() -> None:
    assert {step.duration_seconds for step in _mixed(7, 100)} == {20.0, 10.0, 3.0}
    assert all(0.0 <= step.pause_seconds <= MAX_PAUSE_SECONDS for step in _mixed(7, 100))


def test_named_faults_keep_their_order_and_duration() -> None:
    steps = list(named_steps(["host lost", "link cut"], 7, 5.0))
    assert [(step.fault, step.duration_seconds) for step in steps] == [("host lost", 5.0), ("link cut", 5.0)]
    assert len({step.seed for step in steps}) == 2
