"""What a stream of one job tells if changes come to it late."""

import json

from jobqueue.inspection.changes import NO_CHANGE, Change, read_changes, watch_changes
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.events.job_watches import JobWatch
from manager.routes.job_story import JobStory
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs, success_outcome


async def test_changes_that_the_record_has_shown_already_are_not_told_after_it(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    (shard,) = shards
    await watch_changes(shard)
    await enqueue_jobs(shard, "a")
    (claimed,) = await claim_jobs(shard)
    watch, story = JobWatch("a"), JobStory(shard, "a", "default", "")
    assert await _told(story, watch) == ["started"]
    late = await _changes(shard)
    assert [change.status for change in late] == ["queued", "started"]
    for change in late:
        watch.put(change)
    assert await _told(story, watch) == []
    await finish(shard, "w1", [success_outcome(claimed)], now=NOW)
    for change in await _changes(shard, late[-1].id):
        watch.put(change)
    assert await _told(story, watch) == ["finished", "end"]
    await shards.close()


async def _changes(shard: Shard, after: str = NO_CHANGE) -> list[Change]:
    return [change for change in await read_changes(shard, after, 100) if change.job_id and change.id != after]


async def _told(story: JobStory, watch: JobWatch) -> list[str]:
    """Return the statuses that the story tells, and whether it ends."""
    told = []
    async for piece in story.tell(watch):
        fields = dict(line.split(": ", 1) for line in piece.decode().splitlines() if line)
        told.append("end" if fields["event"] == "end" else json.loads(fields["data"])["status"])
    return told
