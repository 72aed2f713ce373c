"""Streams of the whole system: each gets the changes that its filter shows."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from jobqueue.inspection.changes import Change
from jobqueue.stored_values import shown_name
from jobqueue.timestamps import iso
from manager.api_keys.caller import Caller
from manager.events.inbox import Inbox
from manager.http.server_sent_events import event

MAX_UNSENT_BYTES = 1024 * 1024
"""How much waits for a client that reads slowly, besides what the system's buffers hold. Then its stream ends."""


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes a stream shows.

    Attributes:
        caller: shows only the queues that it sees.
        queue, status: None shows all.
        label: name and value; None shows all.
    """

    caller: Caller
    queue: str | None = None
    status: str | None = None
    label: tuple[str, str] | None = None

    def shows(self, change: Change) -> bool:
        """Return whether a change of a status is shown."""
        if self.queue is not None and change.queue != self.queue:
            return False
        if self.status is not None and change.status != self.status:
            return False
        if self.label is not None and change.labels.get(self.label[0]) != self.label[1]:
            return False
        return self.caller.sees(change.queue)


class Subscription(Inbox):
    """What one stream has not sent yet.

    Attributes:
        has_gap: changes are missing.
        is_dropped: its client has read too slowly; nothing more comes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.has_gap = self.is_dropped = False
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0

    def put(self, events: bytes) -> None:
        """Add events."""
        if self.is_dropped:
            return
        self._unsent.append(events)
        self._unsent_bytes += len(events)
        if self._unsent_bytes > MAX_UNSENT_BYTES:
            self._unsent.clear()
            self.is_dropped = True
        self.wake()

    def tell_gap(self) -> None:
        """Tell that changes are missing: those that have not been sent are of no use then."""
        self._unsent.clear()
        self._unsent_bytes = 0
        self.has_gap = True
        self.wake()

    def take(self) -> bytes:
        """Return the events, and forget them."""
        events, self._unsent, self._unsent_bytes = b"".join(self._unsent), [], 0
        return events


class Subscriptions:
    """All subscriptions of a manager. Those with the same filter share the work.

    Attributes:
        positions: of the last change of each shard that was delivered; '' for a shard that has not been reached.
    """

    def __init__(self, shard_count: int) -> None:
        self.positions = [""] * shard_count
        self.delivered = asyncio.Event()
        """Set, and replaced by another one, when changes have been delivered."""
        self._members: dict[ChangeFilter, set[Subscription]] = {}
        # Filters by the label or queue that they ask for, so that most are not asked about most changes.
        self._filters: dict[object, set[ChangeFilter]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._members.values()))

    def add(self, change_filter: ChangeFilter, subscription: Subscription) -> None:
        """Add one."""
        self._members.setdefault(change_filter, set()).add(subscription)
        self._filters[_asks_for(change_filter)].add(change_filter)

    def remove(self, change_filter: ChangeFilter, subscription: Subscription) -> None:
        """Remove one."""
        self._members[change_filter].remove(subscription)
        if not self._members[change_filter]:
            del self._members[change_filter]
            filters = self._filters[_asks_for(change_filter)]
            filters.remove(change_filter)
            if not filters:
                del self._filters[_asks_for(change_filter)]

    def deliver(self, shard_index: int, changes: Iterable[Change]) -> None:
        """Give changes of one shard to those whose filters show them."""
        shown: dict[ChangeFilter, list[bytes]] = defaultdict(list)
        for change in changes:
            self.positions[shard_index] = change.id
            filters = [each for each in self._candidates(change) if each.shows(change)] if change.status else ()
            if filters:
                encoded = status_event(change, event_id_of(self.positions))
                for change_filter in filters:
                    shown[change_filter].append(encoded)
        for change_filter, events in shown.items():
            chunk = b"".join(events)
            for subscription in self._members[change_filter]:
                subscription.put(chunk)
        delivered, self.delivered = self.delivered, asyncio.Event()
        delivered.set()

    def tell_gap(self) -> None:
        """Tell all of them that changes are missing."""
        for members in self._members.values():
            for subscription in members:
                subscription.tell_gap()

    def _candidates(self, change: Change) -> Iterator[ChangeFilter]:
        asked_for = (None, change.queue, *change.labels.items())
        return chain.from_iterable(self._filters.get(each, ()) for each in asked_for)


def _asks_for(change_filter: ChangeFilter) -> object:
    return change_filter.label or change_filter.queue


def status_event(change: Change, event_id: str) -> bytes:
    """Return a change of a status as a server-sent event."""
    data = {
        "id": shown_name(change.job_id),
        "status": change.status,
        "queue": shown_name(change.queue),
        "labels": change.labels,
        "at": iso(change.at_ms / 1000),
    }
    return event("status", data, event_id)


def event_id_of(positions: Iterable[str]) -> str:
    """Return the id of an event behind which a stream goes on at these positions, on any manager."""
    return ",".join(positions)
