"""What a key that is bound to queues is told of a job of another queue: nothing that tells the job."""

from jobqueue.errors import JobQueueError
from jobqueue.inspection.job_states import read_queues
from jobqueue.sharding.shards import Shards
from manager.api_keys.caller import Caller
from manager.http.problems import DUPLICATE_UNIQUE_KEY, Problem, without_holder


async def hide_foreign_job(problem: Problem, caller: Caller, shards: Shards) -> Problem:
    """Return why a job was not enqueued, without the id of a job that the caller does not see."""
    if not caller.is_bound or problem.problem_type is not DUPLICATE_UNIQUE_KEY:
        return problem
    holder = str(problem.members["id"])
    try:
        (queue,) = await read_queues(shards.of(holder), [holder])
    except JobQueueError:
        queue = None  # That it is the caller's own cannot be told.
    return problem if queue is not None and caller.sees(queue) else without_holder(problem)
