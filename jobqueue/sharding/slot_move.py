"""A shard whose slot is being moved to another master key by key (`CLUSTER SETSLOT`, `redis-cli --cluster reshard`).

As long as it lasts, its keys are on two servers, so no script can run: each one reads and writes many keys. The master
answers ASK or TRYAGAIN. A redirection is not followed. A script on the other server would find half of the keys and
take the others for missing (docs/decisions/0015).
"""

import logging
import time

log = logging.getLogger(__name__)


class SlotMove:
    """One shard's move, as far as this program has met it.

    Args:
        shard: its prefix.

    Attributes:
        is_under_way: whether the last script was refused because of a move.
    """

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self.is_under_way = False
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """How long the move has lasted; 0 if there is none."""
        return time.monotonic() - self._since if self.is_under_way else 0.0

    def note(self, master: str, target: str) -> str:
        """Note that a script was refused; return why.

        Args:
            master: address of the master that refused it.
            target: address of the server that the slot is moved to; '' if it is not known.
        """
        if not self.is_under_way:
            self.is_under_way, self._since = True, time.monotonic()
            log.warning("event=shard_move_began shard=%s master=%s target=%s", self._shard, master, target or "unknown")
        return (
            f"shard {self._shard} is being moved from Redis at {master} to {target or 'another server'}: it takes no "
            f"commands until that is done, {self.seconds:.0f} s so far"
        )

    def end(self) -> None:
        """Note that a script was run."""
        if self.is_under_way:
            log.info("event=shard_move_ended shard=%s after_seconds=%.1f", self._shard, self.seconds)
            self.is_under_way = False
