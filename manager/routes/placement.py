"""On which shard a new job lies."""

from jobqueue.model import NewJob
from jobqueue.sharding.shards import Shards
from manager.http.problems import INVALID, Problem
from manager.queue.submitter import Submitter
from manager.schemas.submission import Submission


def new_id_for(submission: Submission, submitter: Submitter) -> str:
    """Return a new id for a job: where its limits, its unique key or its first parent are, or else on any shard."""
    if submission.limits is not None:
        return submitter.new_id_on_first_shard()
    return submitter.new_id(submission.shard_mate)


def may_move(submission: Submission) -> bool:
    """Return whether an id on any shard is as good."""
    return submission.id is None and submission.shard_mate is None and submission.limits is None


def check_placement(shards: Shards, job: NewJob, owner: str = "id or unique key") -> None:
    """Check that a job with limits lies on the first shard, where all limits are kept, so that they are exact.

    Args:
        owner: what places it elsewhere.

    Raises:
        Problem: 422.
    """
    if not job.limits:
        return
    if shards.of(job.id).index or (job.unique_key is not None and shards.of(job.unique_key).index):
        message = f"on a Redis Cluster, limits lie on the first shard, and this {owner} on another one: choose another"
        raise Problem(INVALID, f"limits: {message}", errors=[{"field": "limits", "message": message}])
