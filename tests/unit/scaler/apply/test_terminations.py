"""What EC2's answers about an instance that is to end mean: it ends, it stays, or EC2 does not know it."""

import random
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from scaler.apply.terminations import REFUSED_PAUSE_SECONDS, UNKNOWN_PAUSE_SECONDS, Terminations
from scaler.fleets.fleet import Cause, Fleet, FleetError
from tests.fake_clock import FakeClock

UNKNOWN = FleetError(Cause.GONE, "InvalidInstanceID.NotFound", "it does not exist")
PROTECTED = FleetError(Cause.REFUSED, "OperationNotPermitted", "it is protected")


class _Fleet:
    """Gives one answer after the other."""

    def __init__(self, answers: Sequence[FleetError | None]) -> None:
        self.answers = list(answers)

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        return dict.fromkeys(ids, self.answers.pop(0))


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [
        ([None], 0.0),
        ([UNKNOWN, None], UNKNOWN_PAUSE_SECONDS),
        ([UNKNOWN, UNKNOWN], UNKNOWN_PAUSE_SECONDS),
        ([PROTECTED, None], REFUSED_PAUSE_SECONDS),
        # EC2 knew it in between, so it lives.
        ([UNKNOWN, PROTECTED, UNKNOWN, None], 2 * UNKNOWN_PAUSE_SECONDS + REFUSED_PAUSE_SECONDS),
    ],
)
async def test_an_instance_ends_when_ec2_says_so_or_twice_in_a_row_does_not_know_it(
    answers: Sequence[FleetError | None], seconds: float
) -> None:
    fleet, clock = _Fleet(answers), FakeClock()
    terminations = Terminations(cast(Fleet, fleet), on_failure=lambda _: None, clock=clock, rng=random.Random(0))
    began_at = clock.now
    while not await terminations.terminate(["i-1"]):
        clock.advance(1.0)
    assert (clock.now - began_at, fleet.answers) == (seconds, [])
