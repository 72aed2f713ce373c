"""Values of the queue."""

from jobqueue.model import Status


def test_four_statuses_are_final() -> None:
    ended = {status.value for status in Status if status.ended}
    assert ended == {"finished", "failed", "stopped", "canceled"}
