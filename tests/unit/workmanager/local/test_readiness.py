"""Why a manager on this machine is not ready."""

import pytest

from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.local import ports
from workmanager.local.readiness import why_not_ready


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer({"status": "ready"}), None),
        (Answer({"detail": "the queue is unavailable at the moment"}, 503), "the queue is unavailable at the moment"),
        (Answer("<html>", 502), "it answers with an error"),
        (Answer(lost=True), "it does not answer yet"),
    ],
)
def test_a_manager_says_why_it_is_not_ready(answer: Answer, reason: str | None) -> None:
    with ScriptedManager(answer) as manager:
        assert why_not_ready(int(manager.url.rpartition(":")[2])) == reason


def test_a_manager_that_is_not_there_does_not_answer_yet() -> None:
    assert why_not_ready(ports.free_port()) == "it does not answer yet"
