"""What keeps jobs from running, in sentences."""

import pytest

from manager.queue.problems import how_to_resume


@pytest.mark.parametrize(
    ("queue", "command", "request_"),
    [
        ("q", "queues resume q", "POST /queues/q/resume"),
        # As plain RQ clients may name theirs.
        ("a; reboot", "queues resume 'a; reboot'", "POST /queues/a%3B%20reboot/resume"),
        ("\udcff", "queues resume '\udcff'", "POST /queues/%FF/resume"),
    ],
    ids=ascii,
)
def test_what_ends_a_pause_can_be_pasted(queue: str, command: str, request_: str) -> None:
    assert how_to_resume(queue) == f"it is resumed (workmanager {command}, or {request_})"
