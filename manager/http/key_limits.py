"""Refuse what exceeds the limits of an API key: 429 with Retry-After."""

import math
from collections.abc import Callable, Sequence

from manager.api_keys.caller import Caller
from manager.api_keys.limits import KeyLimiter
from manager.http.problems import RATE_EXCEEDED, TOO_MANY_WAITING, Problem, ProblemType
from processes.wording import counted

FULL_QUEUE_RETRY_SECONDS = 5
"""Retry-After while too many jobs wait in a queue: nobody knows when workers will have taken them."""


def check_request_rate(caller: Caller) -> None:
    """Count a request of a key.

    Raises:
        Problem: 429, the key has sent too many.
    """
    if caller.limiter is not None and (seconds := caller.limiter.take_request()):
        rate = caller.limiter.limits.requests_per_second
        raise _too_many(RATE_EXCEEDED, f"{caller.name} may send {rate:g} requests a second", seconds)


def take_job(caller: Caller, limiter: KeyLimiter, queue: str, has_room: Callable[[str, int], bool]) -> None:
    """Count a job that is about to be submitted. `limiter` is the caller's.

    Args:
        has_room: tells whether fewer jobs than a number wait in a queue, and counts one more.

    Raises:
        Problem: 429, the key submits too many, or too many wait. Nothing is counted then.
    """
    if seconds := limiter.take_job():
        rate = limiter.limits.jobs_per_second
        raise _too_many(RATE_EXCEEDED, f"{caller.name} may submit {rate:g} jobs a second", seconds)
    most = limiter.limits.waiting_jobs
    if most is not None and not has_room(queue, most):
        limiter.give_back_job()
        detail = f"{caller.name} may submit to queue {queue!r} while fewer than {counted(most, 'job')} wait in it"
        raise _too_many(TOO_MANY_WAITING, detail, FULL_QUEUE_RETRY_SECONDS)


def take_jobs(caller: Caller, queues: Sequence[str], has_room: Callable[[str, int], bool]) -> None:
    """Count jobs that are about to be submitted together, one for each of these queues: all of them, or none.

    Raises:
        Problem: as `take_job`.
    """
    if caller.limiter is None:
        return
    for taken, queue in enumerate(queues):
        try:
            take_job(caller, caller.limiter, queue, has_room)
        except Problem:
            for _ in range(taken):
                caller.limiter.give_back_job()
            raise


def _too_many(problem_type: ProblemType, detail: str, seconds: float) -> Problem:
    # In the document as well, because a line of a batch has no header of its own.
    retry_after = max(1, math.ceil(seconds))
    return Problem(problem_type, detail, headers={"Retry-After": str(retry_after)}, retry_after=retry_after)
