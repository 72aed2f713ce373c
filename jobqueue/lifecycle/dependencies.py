"""Dependencies: jobs that wait for others, their parents, on any shard (docs/decisions/0026).

A child is written first, as `deferred`, with the list of its open parents. Then each parent learns of it (`register`).
The script that ends a parent notes that its children are to be told; `settle` tells them. Both steps may be repeated,
by any program, so nothing is lost if one of them dies in between: the managers' maintenance goes on with it.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from jobqueue import keys
from jobqueue.model import FAILURE_TTL_SECONDS, Dependency, is_over
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of, text_of
from jobqueue.timestamps import clock_argument, iso

EDGES_PER_CALL = 500
"""Maximum number of edges that one script call changes: other requests wait meanwhile."""
PARENTS_PER_CALL = 100

Item = TypeVar("Item")
Edge = tuple[str, str]
"""Parent and child, by their ids."""


def stored_dependencies(encoded: bytes | None) -> tuple[Dependency, ...]:
    """Return what a job's record says that it waits for, or has waited for; nothing if that cannot be read."""
    try:
        return tuple(Dependency(str(parent), str(awaited)) for parent, awaited in json.loads(encoded or b"[]"))
    except (ValueError, TypeError, RecursionError):
        return ()


async def register(shards: Shards, shard: Shard, job_ids: Sequence[str], *, now: float | None = None) -> list[str]:
    """Let the open parents of deferred jobs know of them; queue those whose parents have all ended, or cancel them.

    Args:
        shard: that of the jobs.

    Returns:
        The status of each job; '' if it does not exist.

    Raises:
        ShardUnavailable: a parent's shard or their own is unavailable; a repeat is safe.
    """
    statuses: list[str] = []
    for part in _in_parts(job_ids, EDGES_PER_CALL):
        commands = [("HKEYS", keys.open_parents(shard.prefix, id_)) for id_ in part]
        answers = await shard.execute(*commands, tolerate_wrong_types=True)
        parents = [[name_of(parent) for parent in answer or ()] for answer in answers]
        edges = [(parent, child) for child, all_of_it in zip(part, parents, strict=True) for parent in all_of_it]
        endings = await _tell_parents(shards, shard, edges)
        news = [
            (child, [(parent, endings[parent]) for parent in all_of_it if is_over(endings[parent])])
            for child, all_of_it in zip(part, parents, strict=True)
        ]
        statuses += await _tell_children(shard, news, registered=True, now=now)
    return statuses


async def settle(shard: Shard, shards: Shards | None = None, *, now: float | None = None) -> int:
    """Tell the children of a shard's ended (or requeued) parents what became of them.

    Args:
        shards: to reach children on other shards; without them, those children are left to the next call.

    Returns:
        Number of times that a parent was looked at; 0 if there was nothing to do.

    Raises:
        ShardUnavailable: a shard is unavailable; a repeat is safe.
    """
    settled = 0
    told: dict[str, tuple[str, list[str]]] = {}
    while True:
        (found,) = await shard.execute(
            ("HRANDFIELD", keys.parents_to_settle(shard.prefix), PARENTS_PER_CALL), tolerate_wrong_types=True
        )
        parents = list(dict.fromkeys([*told, *map(name_of, found or ())]))
        if not parents:
            return settled
        arguments: list[str | int] = [clock_argument(now), iso(now), FAILURE_TTL_SECONDS, EDGES_PER_CALL]
        for parent in parents:
            news, children = told.get(parent, ("", []))
            arguments += (parent, news, len(children), *children)
        rows = await shard.run(script("settle_children"), *arguments)
        settled += len(parents)
        told = await _tell_elsewhere(shards, rows, now) if shards is not None else {}
        if shards is None and any(row[2] for row in rows):
            return settled


async def _tell_elsewhere(
    shards: Shards, rows: Iterable[tuple[bytes, bytes, list[bytes]]], now: float | None
) -> dict[str, tuple[str, list[str]]]:
    """Tell children on other shards; return for each parent what they were told, and their ids."""
    told: dict[str, tuple[str, list[str]]] = {}
    by_shard: dict[str, list[tuple[str, list[Edge]]]] = defaultdict(list)
    for raw_parent, raw_news, elsewhere in rows:
        parent, news = name_of(raw_parent), text_of(raw_news)
        for child, prefix in zip(elsewhere[::2], elsewhere[1::2], strict=True):
            by_shard[text_of(prefix)].append((name_of(child), [(parent, news)]))
        if elsewhere:
            told[parent] = (news, [name_of(child) for child in elsewhere[::2]])
    for shard in shards:
        await _tell_children(shard, by_shard.pop(shard.prefix, []), registered=False, now=now)
    return told


async def _tell_parents(shards: Shards, shard: Shard, edges: Sequence[Edge]) -> dict[str, str]:
    """Return the status of each parent, or 'deleted'."""
    by_shard: dict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        by_shard[shards.of(edge[0]).index].append(edge)

    async def on_shard(parents_shard: Shard, edges: Sequence[Edge]) -> dict[str, str]:
        statuses: dict[str, str] = {}
        for part in _in_parts(edges, EDGES_PER_CALL):
            arguments = [text for parent, child in part for text in (parent, child, shard.prefix)]
            answers = await parents_shard.run(script("register_children"), *arguments, replicate=True)
            statuses |= {parent: text_of(status) for (parent, _), status in zip(part, answers, strict=True)}
        return statuses

    parts = await asyncio.gather(*(on_shard(shards.all[index], part) for index, part in by_shard.items()))
    statuses = {parent: status for part in parts for parent, status in part.items()}
    if len(shards) > 1:
        # Plain RQ clients write all their jobs to the one shard they know.
        for parent in [parent for parent, status in statuses.items() if status == "deleted"]:
            actual_shard = await find_shard(shards, parent)
            if actual_shard is not None:
                statuses |= await on_shard(actual_shard, [edge for edge in edges if edge[0] == parent])
    return statuses


async def _tell_children(
    shard: Shard, news: Sequence[tuple[str, Sequence[Edge]]], *, registered: bool, now: float | None
) -> list[str]:
    """Tell each child of `shard` what became of some parents, and return the children's statuses."""
    statuses: list[str] = []
    start = 0
    while start < len(news):
        arguments: list[str | int] = [clock_argument(now), iso(now), FAILURE_TTL_SECONDS]
        end, edges = start, 0
        while end < len(news) and (end == start or edges + len(news[end][1]) < EDGES_PER_CALL):
            child, endings = news[end]
            arguments += (child, int(registered), len(endings), *(text for ending in endings for text in ending))
            edges, end = edges + len(endings) + 1, end + 1
        statuses += map(text_of, await shard.run(script("settle_parents"), *arguments, replicate=True))
        start = end
    return statuses


def _in_parts(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
