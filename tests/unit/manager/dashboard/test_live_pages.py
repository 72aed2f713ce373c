"""What is rendered of a sample is shared only among those who see the same."""

import asyncio
from dataclasses import replace

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.counters import QueueCounts, ShardCounts
from jobqueue.workers.registry import WorkerView
from manager.api_keys.caller import NOBODY_IN_PARTICULAR, Caller
from manager.api_keys.table import KeyTable
from manager.dashboard.attention import Attention
from manager.dashboard.live_pages import LivePages
from manager.dashboard.rendering import Pages
from manager.dashboard.sampler import Sample, Sampler
from manager.dashboard.stream import CHANGES, EventStream
from manager.queue.watched_servers import WatchedServers
from manager.siblings.group import ProcessGroup
from tests.unconnected_queue import unconnected_queue

PAUSE = 'action="/dashboard/queues/mine/pause"'


def sample(number: int, **queues: int) -> Sample:
    return Sample(number, 0.0, 0.0, ShardCounts({name: QueueCounts(queued=jobs) for name, jobs in queues.items()}))


def live_pages() -> LivePages:
    queue = unconnected_queue()
    attention = Attention(queue, FunctionRegistry.discover(()))
    return LivePages(Pages("", asks_for_keys=True), attention, 0.0)


def test_callers_with_other_queues_or_scopes_get_parts_of_their_own() -> None:
    pages, seen = live_pages(), sample(1, mine=1, theirs=2)
    operator = pages.part("queues", seen, NOBODY_IN_PARTICULAR)
    reader = pages.part("queues", seen, Caller.of("a", ["jobs:read"]))
    tenant = pages.part("queues", seen, Caller.of("b", ["jobs:read"], ["mine"]))
    assert PAUSE in operator
    assert "theirs" in operator
    assert PAUSE not in reader
    assert "theirs" in reader
    assert "mine" in tenant
    assert "theirs" not in tenant
    assert pages.part("queues", seen, Caller.of("c", ["jobs:read"], ["mine"])) is tenant


def test_workers_that_can_drain_and_do_not_yet_have_a_button() -> None:
    def worker(name: str, state: str, *, native: bool = True) -> WorkerView:
        return WorkerView(name, "h", 1, ("*",), state, 1, 0, 0, 0, "", "", None, None, 1.0, native=native)

    workers = [worker("rack/7", "idle"), worker("going", "draining"), worker("plain", "idle", native=False)]
    pages, seen = live_pages(), replace(sample(1), workers=workers)
    shown = pages.part("workers", seen, NOBODY_IN_PARTICULAR)
    assert shown.count("<form") == 1
    assert 'action="/dashboard/workers/rack%2F7/drain"' in shown
    assert "<form" not in pages.part("workers", seen, Caller.of("a", ["jobs:read"]))


def test_the_next_sample_is_rendered_anew() -> None:
    pages = live_pages()
    before = pages.part("queues", sample(1, mine=1), NOBODY_IN_PARTICULAR)
    after = pages.part("queues", sample(2, mine=4711), NOBODY_IN_PARTICULAR)
    assert "4,711" in after
    assert "4,711" not in before


async def test_what_changes_in_queues_of_others_is_no_change() -> None:
    pages, tenant = live_pages(), Caller.of("b", ["jobs:read"], ["mine"])
    queue = pages._attention._queue
    sampler = Sampler(queue, WatchedServers(queue, None, ProcessGroup()))
    stream = EventStream(sampler, pages, KeyTable(), asyncio.Event())
    before, after = sample(1, mine=1, theirs=2), replace(sample(2, mine=1, theirs=3), unserved={"theirs": "start one"})
    assert stream._part(CHANGES, before, tenant) == stream._part(CHANGES, after, tenant)
    own = replace(after, number=3, unserved={"mine": "start one"})
    assert stream._part(CHANGES, after, tenant) != stream._part(CHANGES, own, tenant)
    assert stream._part(CHANGES, before, NOBODY_IN_PARTICULAR) != stream._part(CHANGES, after, NOBODY_IN_PARTICULAR)


def test_open_pages_of_those_who_see_the_same_share_what_has_changed() -> None:
    pages, seen = live_pages(), sample(1, mine=1, theirs=2)
    shared = pages.seen(seen, NOBODY_IN_PARTICULAR)
    assert pages.seen(seen, NOBODY_IN_PARTICULAR) is shared
    assert "theirs" not in pages.seen(seen, Caller.of("b", ["jobs:read"], ["mine"]))
