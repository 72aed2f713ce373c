"""Which queues are counted."""

from collections.abc import Collection

from manager.queue.waiting_jobs import ASKED_SECONDS, COUNTED_IN_TURN, WaitingJobs

QUEUES = [f"queue-{number}" for number in range(3 * COUNTED_IN_TURN)]


def count(waiting: WaitingJobs, queues: Collection[str], now: float) -> set[str]:
    due = waiting.due(queues, now)
    waiting.update(dict.fromkeys(due, 2), dict.fromkeys(due, 1))
    return due


def test_new_queues_are_counted_at_once_and_then_all_in_turn() -> None:
    waiting = WaitingJobs()
    assert count(waiting, QUEUES, 0) == set(QUEUES)
    turns = [count(waiting, QUEUES, now) for now in range(1, 4)]
    assert [len(turn) for turn in turns] == [COUNTED_IN_TURN] * 3
    assert set().union(*turns) == set(QUEUES)
    assert count(waiting, [*QUEUES, "new"], 4) >= {"new"}


def test_a_queue_that_was_asked_about_is_counted_each_time_for_a_while() -> None:
    waiting = WaitingJobs()
    count(waiting, QUEUES, 0)
    assert waiting.ask(QUEUES[-1], 0) == 3
    assert [QUEUES[-1] in count(waiting, QUEUES, now) for now in (1, 2)] == [True, True]
    turns = [QUEUES[-1] in count(waiting, QUEUES, ASKED_SECONDS + number) for number in range(3)]
    assert sum(turns) == 1  # Like the others: all are counted once in three turns.


def test_jobs_that_are_added_count_until_the_queue_is_counted_again_and_what_is_gone_is_forgotten() -> None:
    waiting = WaitingJobs()
    count(waiting, QUEUES, 0)
    waiting.add_one(QUEUES[0])
    assert (waiting.ask(QUEUES[0], 0), waiting.queued(QUEUES[0])) == (4, 3)
    count(waiting, QUEUES, 1)
    assert waiting.ask(QUEUES[0], 1) == 3
    count(waiting, QUEUES[1:], 2)
    assert waiting.ask(QUEUES[0], 2) == 0
