"""How many jobs the slots claim together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest

from worker_node.slots.slot import Slot
from worker_node.slots.slot_pool import SlotPool


@dataclass(frozen=True, slots=True)
class FakeSlot:
    """A slot that wants a fixed number of jobs."""

    wanted: int
    is_running_low: bool

    def jobs_wanted(self, now: float) -> int:
        return self.wanted


def _full(wanted: int) -> FakeSlot:
    return FakeSlot(wanted, is_running_low=False)


def _low(wanted: int) -> FakeSlot:
    return FakeSlot(wanted, is_running_low=True)


@pytest.mark.parametrize(
    ("slots", "wanted"),
    [
        ([_full(4), _full(3)], 0),
        ([_full(4), _low(6)], 10),
        # A slot with a long job wants none, so it is no reason to refill the others.
        ([_full(4), _low(0)], 0),
        ([_low(1), _low(0)], 1),
    ],
)
def test_when_one_slot_runs_low_all_are_refilled(slots: Sequence[FakeSlot], wanted: int) -> None:
    assert SlotPool(cast(Sequence[Slot], slots)).jobs_wanted() == wanted
