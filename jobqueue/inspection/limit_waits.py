"""Jobs that wait for limits: how many, and which are next. Read in bounded pieces, however many wait.

A lane that waits for a place of a limit is listed with that limit. One that waits for a rate is listed with its queue;
the limits of its jobs tell for which.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from jobqueue import keys
from jobqueue.inspection.listing import queue_names
from jobqueue.lifecycle.limits import LimitView, limit_keys
from jobqueue.model import Status
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, shown_name

MAX_LANES = 20
"""How many lanes are looked at for each limit, and for the rates of each queue."""
MAX_LANES_IN_ALL = 200
MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class WaitingJobs:
    """Jobs that wait for a limit.

    Attributes:
        count: how many stand in the lanes that were looked at; some may have been canceled since.
        is_complete: whether these are all lanes that wait for the limit.
        first: ids of those that are next, at first one of each lane.
    """

    count: int = 0
    is_complete: bool = True
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a lane is found."""

    queue: str
    lane: str


@dataclass(slots=True)
class _Lane:
    """A lane: its length, its next jobs, and the limits of these."""

    length: int
    ids: Sequence[str] = ()
    limits: Sequence[str] = ()


@dataclass(slots=True)
class _Found:
    """The lanes of one limit, or those that wait for rates, and whether there are more."""

    places: list[_Place] = field(default_factory=list)
    is_complete: bool = True

    def add(self, places: Sequence[_Place], most: int, *, is_complete: bool) -> None:
        self.places += places[:most]
        self.is_complete = self.is_complete and is_complete and len(places) <= most


async def read_waiting(shard: Shard, limits: Sequence[LimitView]) -> Mapping[str, WaitingJobs]:
    """Return the jobs that wait for these limits, by the limits' keys.

    A job that waits for a rate is counted for each of its limits that has one.

    Raises:
        ShardUnavailable: try again.
    """
    if not limits:
        return {}
    blocked, rated = await _find_lanes(shard, [view.limit.key for view in limits if view.blocked_lanes])
    lanes = await _read_lanes(shard, {*rated.places, *(place for found in blocked.values() for place in found.places)})
    by_limit: dict[str, list[_Lane]] = {view.limit.key: [] for view in limits}
    others = {key for place in rated.places for key in lanes[place].limits} - by_limit.keys()
    have_rates = {view.limit.key for view in limits if view.limit.starts is not None} | await _rates_of(shard, others)
    rests = set(have_rates)
    for key, found in blocked.items():
        by_limit[key] += [lanes[place] for place in found.places]
    for lane in map(lanes.__getitem__, rated.places):
        # Without any rate, a job has asked that none begins for a while (`RateLimited`): it does not say of which.
        for key in have_rates.intersection(lane.limits) or lane.limits:
            by_limit.get(key, []).append(lane)
            rests.add(key)
    return {
        key: _waiting(
            found,
            is_complete=blocked.get(key, _Found()).is_complete and (rated.is_complete or key not in rests),
        )
        for key, found in by_limit.items()
    }


async def _find_lanes(shard: Shard, blocked: Sequence[str]) -> tuple[Mapping[str, _Found], _Found]:
    """Return the lanes that wait for a place of these limits, by their keys, and those that wait for a rate."""
    prefix, queues = shard.prefix, await queue_names(shard)
    scans = [("SSCAN", keys.limit_blocked(prefix, key), 0, "COUNT", MAX_LANES) for key in blocked]
    ranges = [("ZRANGE", keys.later(prefix, queue), 0, MAX_LANES) for queue in queues]
    answers = await shard.execute(*scans, *ranges, tolerate_wrong_types=True) if scans or ranges else []
    left, by_limit, rated = MAX_LANES_IN_ALL, {}, _Found()
    for key, scan in zip(blocked, answers, strict=False):
        cursor, entries = scan or (b"0", ())
        # Sorted, so that a page that is read again shows the same.
        places = [_Place(queue, lane) for lane, _, queue in (name_of(each).partition(" ") for each in sorted(entries))]
        by_limit[key] = _Found()
        by_limit[key].add(places, min(MAX_LANES, left), is_complete=int(cursor) == 0)
        left -= len(by_limit[key].places)
    for queue, names in zip(queues, answers[len(scans) :], strict=True):
        places = [_Place(queue, name_of(name)) for name in names or ()]
        count = len(rated.places)
        rated.add(places, min(MAX_LANES, left), is_complete=True)
        left -= len(rated.places) - count
    return by_limit, rated


async def _rates_of(shard: Shard, limits: Iterable[str]) -> set[str]:
    """Return the keys of those of these limits that have a rate."""
    wanted = sorted(limits)
    commands = [("HGET", keys.limit(shard.prefix, key), "starts") for key in wanted]
    answers = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    return {key for key, starts in zip(wanted, answers, strict=True) if starts is not None}


async def _read_lanes(shard: Shard, places: Iterable[_Place]) -> Mapping[_Place, _Lane]:
    wanted = list(places)
    lists = [keys.lane(shard.prefix, place.queue, place.lane) for place in wanted]
    commands = [command for key in lists for command in (("LLEN", key), ("LRANGE", key, 0, MAX_NAMED - 1))]
    answers = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    ids = [[name_of(raw) for raw in found or ()] for found in answers[1::2]]
    reads = [
        ("HMGET", keys.job(shard.prefix, id_), "status", "wm_in_lane", "wm_limits") for some in ids for id_ in some
    ]
    records = iter(await shard.execute(*reads, tolerate_wrong_types=True) if reads else [])
    lanes = {}
    for place, length, some in zip(wanted, answers[::2], ids, strict=True):
        lane = lanes[place] = _Lane(length or 0)
        found = [(id_, next(records) or (None, None, None)) for id_ in some]
        # A job that was canceled stays in its lane until a worker gets to it.
        waits = [id_ for id_, (status, in_lane, _) in found if status == _DEFERRED and in_lane == b"1"]
        lane.ids = [shown_name(id_) for id_ in waits]
        lane.limits = next((limit_keys(limits) for _, (_, _, limits) in found if limits), ())
    return lanes


_DEFERRED = Status.DEFERRED.encode()


def _waiting(lanes: Sequence[_Lane], *, is_complete: bool) -> WaitingJobs:
    in_turn = [id_ for some in zip_longest(*(lane.ids for lane in lanes)) for id_ in some if id_ is not None]
    return WaitingJobs(sum(lane.length for lane in lanes), is_complete, tuple(in_turn[:MAX_NAMED]))
