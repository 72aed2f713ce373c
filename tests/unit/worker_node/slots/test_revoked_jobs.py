"""Which jobs are not to run any more."""

from __future__ import annotations

from dataclasses import replace

from jobqueue.model import ClaimedJob
from worker_node.slots.outcomes import Why
from worker_node.slots.revoked_jobs import REMEMBERED_SECONDS, Unwanted

JOB = ClaimedJob("a", "token", 0, "default", b"[]", None, True, True, 0, 0, 1, None)


def test_a_cancelled_job_is_unwanted_whatever_its_lease_until_it_is_gone() -> None:
    unwanted = Unwanted()
    assert (bool(unwanted), unwanted.why(JOB)) == (False, None)
    unwanted.cancel("a", 0.0)
    assert unwanted.why(replace(JOB, token="other")) is Why.CANCELLED
    unwanted.settle(JOB)
    assert (bool(unwanted), unwanted.why(JOB)) == (False, None)


def test_a_lost_lease_concerns_that_lease_alone_and_outweighs_a_cancellation() -> None:
    unwanted = Unwanted()
    unwanted.lose(JOB, 0.0)
    unwanted.cancel("a", 0.0)
    assert unwanted.why(JOB) is Why.LEASE_LOST
    unwanted.settle(JOB)
    unwanted.lose(JOB, 0.0)
    assert unwanted.why(replace(JOB, token="other")) is None


def test_what_never_came_is_forgotten() -> None:
    unwanted = Unwanted()
    unwanted.cancel("a", 0.0)
    unwanted.lose(replace(JOB, id="b"), 0.0)
    unwanted.cancel("c", REMEMBERED_SECONDS + 1)
    assert unwanted.why(JOB) is None
    assert unwanted.why(replace(JOB, id="b")) is None
    assert unwanted.why(replace(JOB, id="c")) is Why.CANCELLED
