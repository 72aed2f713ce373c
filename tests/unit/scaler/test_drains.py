"""Whatever the load: no worker that is only not needed is drained while a job is queued, nor within its minimum age."""

import random
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scaler.lagging_fleet import LaggingFleet, TimeScale

LAPTOP = TimeScale(boot_seconds=1.0, min_idle_seconds=10.0, min_billed_seconds=0.0)
EC2 = TimeScale(boot_seconds=90.0, min_idle_seconds=0.0, min_billed_seconds=60.0, tick_seconds=5.0)
BURSTS = st.lists(
    st.tuples(
        # Pause before it in boots, number of jobs, and their service time in boots.
        st.sampled_from((0.0, 0.3, 1.0, 3.0, 12.0, 30.0)) | st.floats(0.0, 30.0),
        st.sampled_from((1, 1, 1, 2, 7)) | st.integers(1, 30),
        st.sampled_from((0.0001, 0.01, 0.5, 2.0)),
    ),
    min_size=1,
    max_size=8,
)
SETTINGS = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def _run(scale: TimeScale, bursts: list[tuple[float, int, float]], seed: int) -> LaggingFleet:
    ends = accumulate(pause * scale.boot_seconds for pause, _, _ in bursts)
    arrivals = [
        (at, service * scale.boot_seconds)
        for at, (_, jobs, service) in zip(ends, bursts, strict=True)
        for _ in range(jobs)
    ]
    fleet = LaggingFleet(scale, arrivals, random.Random(seed))
    fleet.run()
    return fleet


@pytest.mark.parametrize("scale", [LAPTOP, EC2], ids=["laptop", "ec2"])
def test_no_needed_or_new_worker_is_drained(scale: TimeScale) -> None:
    @SETTINGS
    @given(BURSTS, st.integers(0, 1000))
    def check(bursts: list[tuple[float, int, float]], seed: int) -> None:
        assert _run(scale, bursts, seed).violations == []

    check()


@pytest.mark.parametrize("scale", [LAPTOP, EC2], ids=["laptop", "ec2"])
def test_a_lone_short_job_needs_one_launch(scale: TimeScale) -> None:
    """After many others, so that the scaler knows how short they are, and long pauses."""
    lone = [(40.0, 1, 0.0001)] * 8
    fleet = _run(scale, [(0.0, 30, 0.0001), *lone], seed=1)
    baseline = _run(scale, [(0.0, 30, 0.0001)], seed=1)
    assert fleet.violations == []
    assert fleet.launches == baseline.launches + len(lone)
    assert fleet.drains == fleet.launches
