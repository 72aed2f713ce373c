"""Which jobs must not run on this worker."""

from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.slots.outcomes import KillReason
from worker_node.slots.revoked_jobs import REMEMBERED_SECONDS, RevokedJobs

JOB = claimed_job(id="a", token="token")


def test_a_cancelled_job_is_revoked_under_any_lease_until_it_is_forgotten() -> None:
    revoked = RevokedJobs()
    assert (bool(revoked), revoked.reason(JOB)) == (False, None)
    revoked.cancel("a", now=0.0)
    assert revoked.reason(JOB._replace(token="other")) is KillReason.CANCELLED
    revoked.forget(JOB)
    assert (bool(revoked), revoked.reason(JOB)) == (False, None)


def test_a_lost_lease_revokes_that_lease_only_and_outranks_a_cancellation() -> None:
    revoked = RevokedJobs()
    revoked.lose_lease(JOB, now=0.0)
    revoked.cancel("a", now=0.0)
    assert revoked.reason(JOB) is KillReason.LEASE_LOST
    revoked.forget(JOB)
    revoked.lose_lease(JOB, now=0.0)
    assert revoked.reason(JOB._replace(token="other")) is None


def test_a_revocation_of_a_job_that_never_arrived_is_forgotten() -> None:
    revoked = RevokedJobs()
    revoked.cancel("a", now=0.0)
    revoked.lose_lease(JOB._replace(id="b"), now=0.0)
    revoked.cancel("c", now=REMEMBERED_SECONDS + 1)
    assert revoked.reason(JOB) is None
    assert revoked.reason(JOB._replace(id="b")) is None
    assert revoked.reason(JOB._replace(id="c")) is KillReason.CANCELLED
