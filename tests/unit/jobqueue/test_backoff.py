"""Delays between tries: they grow up to a maximum and stay there, however long an outage lasts."""

import pytest

from jobqueue.backoff import exponential_seconds, jittered_seconds


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.5), (1, 1.0), (4, 8.0), (5, 15.0)])
def test_the_delay_doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    assert exponential_seconds(failures, 0.5, 15.0) == seconds
    assert seconds / 2 <= jittered_seconds(failures, 0.5, 15.0) <= seconds


@pytest.mark.parametrize("failures", [1_023, 1_024, 100_000])
def test_an_outage_of_any_length_keeps_the_maximum(failures: int) -> None:
    assert exponential_seconds(failures, 0.1, 2.0) == 2.0
    assert 1.0 <= jittered_seconds(failures, 0.1, 2.0) <= 2.0
