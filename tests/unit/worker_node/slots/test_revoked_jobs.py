"""Which jobs are not to run any more."""

from __future__ import annotations

from dataclasses import replace

from jobqueue.model import ClaimedJob
from worker_node.slots.outcomes import KillReason
from worker_node.slots.revoked_jobs import REMEMBERED_SECONDS, RevokedJobs

JOB = ClaimedJob("a", "token", 0, "default", b"[]", None, True, True, 0, 0, 1, None)


def test_a_cancelled_job_is_unwanted_whatever_its_lease_until_it_is_gone() -> None:
    unwanted = RevokedJobs()
    assert (bool(unwanted), unwanted.reason(JOB)) == (False, None)
    unwanted.cancel("a", 0.0)
    assert unwanted.reason(replace(JOB, token="other")) is KillReason.CANCELLED
    unwanted.forget(JOB)
    assert (bool(unwanted), unwanted.reason(JOB)) == (False, None)


def test_a_lost_lease_concerns_that_lease_alone_and_outweighs_a_cancellation() -> None:
    unwanted = RevokedJobs()
    unwanted.lose_lease(JOB, 0.0)
    unwanted.cancel("a", 0.0)
    assert unwanted.reason(JOB) is KillReason.LEASE_LOST
    unwanted.forget(JOB)
    unwanted.lose_lease(JOB, 0.0)
    assert unwanted.reason(replace(JOB, token="other")) is None


def test_what_never_came_is_forgotten() -> None:
    unwanted = RevokedJobs()
    unwanted.cancel("a", 0.0)
    unwanted.lose_lease(replace(JOB, id="b"), 0.0)
    unwanted.cancel("c", REMEMBERED_SECONDS + 1)
    assert unwanted.reason(JOB) is None
    assert unwanted.reason(replace(JOB, id="b")) is None
    assert unwanted.reason(replace(JOB, id="c")) is KillReason.CANCELLED
