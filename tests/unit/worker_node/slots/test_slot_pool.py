"""What the slots ask for together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest

from worker_node.slots.slot import Slot
from worker_node.slots.slot_pool import SlotPool


@dataclass(frozen=True, slots=True)
class _Slot:
    """A slot with so much room."""

    free: int
    is_running_low: bool

    def jobs_wanted(self, now: float) -> int:
        return self.free


@pytest.mark.parametrize(
    ("slots", "room"),
    [
        ([_Slot(4, is_running_low=False), _Slot(3, is_running_low=False)], 0),
        ([_Slot(4, is_running_low=False), _Slot(6, is_running_low=True)], 10),
        # A slot that takes nothing, since its job takes its time, does not fill up the others.
        ([_Slot(4, is_running_low=False), _Slot(0, is_running_low=True)], 0),
        ([_Slot(1, is_running_low=True), _Slot(0, is_running_low=True)], 1),
    ],
)
def test_once_one_slot_is_low_all_are_filled_up(slots: Sequence[_Slot], room: int) -> None:
    assert SlotPool(cast(Sequence[Slot], slots)).jobs_wanted() == room
