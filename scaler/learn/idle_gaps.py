"""Learns how long to keep an idle worker: the hold factor of the ski-rental problem (rent on, or buy again). Pure.

An idle gap is a time in which demand does not reach a worker. Its length is measured in break-evens: one break-even is
the idle time that costs as much as removing the worker and launching it again.
"""

from collections.abc import Sequence

HOLD_FACTORS = (0.01, 0.05, 0.1, 0.18, 0.3, 0.45, 0.65, 1.0, 1.5, 2.5)
"""Candidates: how long to keep an idle worker, in break-evens."""
PRIOR_GAPS = 2.0
"""Weight of the prior in gaps. The prior prefers the hold factor 1, the break-even itself. It hardly tells small ones
apart, so that a few gaps do."""
SHARED_GAPS = 5.0
"""Weight of the gaps of all workers together, in gaps of one worker."""
REMEMBERED_GAPS = 1000.0
"""After this many gaps all earlier ones are weighted by one half."""


class IdleGaps:
    """Idle gaps of one worker, as the loss in break-evens that each of `HOLD_FACTORS` would have caused."""

    def __init__(self, losses: Sequence[float] = (0.0,) * len(HOLD_FACTORS), count: float = 0.0) -> None:
        if len(losses) != len(HOLD_FACTORS):
            raise ValueError(f"expected {len(HOLD_FACTORS)} losses, got {len(losses)}")
        self.losses = [float(loss) for loss in losses]
        self.count = count

    def add(self, gap: float) -> None:
        """Add a gap in break-evens. A hold factor either bridges it, or idles in vain and then loses one break-even."""
        for index, factor in enumerate(HOLD_FACTORS):
            self.losses[index] += gap if gap < factor else factor + 1.0
        self.count += 1.0
        if self.count > REMEMBERED_GAPS:
            self.losses = [loss / 2 for loss in self.losses]
            self.count /= 2

    def cheapest(self, all_gaps: "IdleGaps") -> float:
        """Return the hold factor with the least loss. The gaps of all workers fill in while this one has few."""
        weight = SHARED_GAPS / max(all_gaps.count, SHARED_GAPS)
        losses = [
            loss + weight * other + PRIOR_GAPS * max(0.0, 1.0 - factor) ** 2
            for factor, loss, other in zip(HOLD_FACTORS, self.losses, all_gaps.losses, strict=True)
        ]
        return HOLD_FACTORS[min(range(len(HOLD_FACTORS)), key=losses.__getitem__)]
