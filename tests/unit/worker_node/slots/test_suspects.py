"""How often a job may be next when its executor ends without a word."""

from jobqueue.model import MAX_LOSSES
from worker_node.slots.suspects import MAX_REMEMBERED, Suspects


def test_a_job_is_guilty_after_as_many_ends_as_losses_fail_it() -> None:
    suspects = Suspects()
    assert [suspects.is_guilty("a") for _ in range(MAX_LOSSES)] == [False] * (MAX_LOSSES - 1) + [True]
    assert not suspects.is_guilty("a"), "it begins anew"


def test_the_oldest_suspects_are_forgotten() -> None:
    suspects = Suspects()
    for _ in range(MAX_LOSSES - 1):
        assert not suspects.is_guilty("old")
    for number in range(MAX_REMEMBERED):
        assert not suspects.is_guilty(str(number))
    assert not suspects.is_guilty("old")
