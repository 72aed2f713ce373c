"""One sorted set of jobs on one shard, read piece by piece in one direction."""

from collections.abc import Sequence
from operator import gt, lt

from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.shard import Shard

Entry = tuple[float, bytes]
"""Score and member of an entry: its place in the order, which Redis' is as well."""


class IdList:
    """Reads one list.

    Args:
        key: of a sorted set.
        start: the place after which to begin; None for all.
        newest_first: the largest score first.

    Attributes:
        entries: those that were read and not taken yet, in order.
        is_read: nothing follows.
        reads: how often it was read.
    """

    def __init__(self, shard: Shard, key: str, start: Entry | None, *, newest_first: bool) -> None:
        self.shard = shard
        self.entries: list[Entry] = []
        self.is_read = False
        self.reads = 0
        self._key = key
        self._last = start
        # Entries of the last one's score, up to it; 0 if that is not known.
        self._ties = 0
        self._newest_first = newest_first

    def command(self, count: int) -> RedisCommand:
        """Return the command that reads what follows, beginning with the last entry, or the first of its score."""
        bounds = ("-inf" if self._last is None else repr(self._last[0]), "+inf")
        if self._newest_first:
            bounds = ("+inf" if self._last is None else repr(self._last[0]), "-inf")
        reverse = ("REV",) if self._newest_first else ()
        return ("ZRANGE", self._key, *bounds, "BYSCORE", *reverse, "LIMIT", self._skipped, count, "WITHSCORES")

    def read(self, reply: Sequence[bytes] | None, count: int) -> bool:
        """Take in the answer to a command with this count.

        Returns:
            False if it does not tell what follows: more entries than it could hold have the last score, or some of that
            score have come or gone.
        """
        found = _entries(reply)
        if self._ties and found[:1] != [self._last]:
            return False
        self._take_in(found, self._skipped)
        self.is_read = len(found) < count
        return bool(self.entries) or self.is_read

    async def read_by_rank(self, count: int) -> None:
        """Read what follows, however many entries have the last score: by bisection, since Redis orders them by member.

        Raises:
            ShardUnavailable: the master is unavailable.
        """
        if self._last is None:
            return
        score = repr(self._last[0])
        before = (f"({score}", "+inf") if self._newest_first else ("-inf", f"({score}")
        first, ties = await self.shard.execute(
            ("ZCOUNT", self._key, *before), ("ZCOUNT", self._key, score, score), tolerate_wrong_types=True
        )
        low, high = first or 0, (first or 0) + (ties or 0)
        while low < high:
            middle = (low + high) // 2
            found = await self._range(middle, middle)
            if found and not self._follows(found[0]):
                low = middle + 1
            else:
                high = middle
        found = await self._range(low, low + count - 1)
        self._take_in(found, low - (first or 0))
        self.is_read = len(found) < count

    def take(self, bound: Entry | None) -> list[Entry]:
        """Remove and return the entries up to a place; None for all."""
        end = len(self.entries)
        if bound is not None:
            beyond = lt if self._newest_first else gt
            end = next((place for place, entry in enumerate(self.entries) if beyond(entry, bound)), end)
        taken, self.entries = self.entries[:end], self.entries[end:]
        return taken

    @property
    def _skipped(self) -> int:
        """How many entries of the last one's score are not read again: all but itself."""
        return max(0, self._ties - 1)

    def _take_in(self, found: Sequence[Entry], skipped: int) -> None:
        """Keep what follows.

        Args:
            skipped: how many entries of the last one's score stand before those that were found.
        """
        self.reads += 1
        self.entries = [entry for entry in found if self._follows(entry)]
        if not self.entries:
            return
        score = self.entries[-1][0]
        before = skipped if self._last is not None and self._last[0] == score else 0
        self._ties = before + sum(entry[0] == score for entry in found)
        self._last = self.entries[-1]

    async def _range(self, first: int, last: int) -> list[Entry]:
        reverse = ("REV",) if self._newest_first else ()
        command = ("ZRANGE", self._key, first, last, *reverse, "WITHSCORES")
        (reply,) = await self.shard.execute(command, tolerate_wrong_types=True)
        return _entries(reply)

    def _follows(self, entry: Entry) -> bool:
        if self._last is None:
            return True
        return entry < self._last if self._newest_first else entry > self._last


def _entries(reply: Sequence[bytes] | None) -> list[Entry]:
    flat = reply or ()
    return [(float(score), member) for member, score in zip(flat[::2], flat[1::2], strict=True)]
