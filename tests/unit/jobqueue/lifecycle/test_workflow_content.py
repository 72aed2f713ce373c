"""A workflow that is submitted again is known again, also by a version whose jobs have more fields."""

from jobqueue.lifecycle.workflows import content_of
from jobqueue.model import NewJob


def test_the_content_of_a_job_is_what_it_asks_for() -> None:
    job = NewJob("a", "noop", b"[]")
    assert content_of(job) == [("id", "a"), ("function", "noop"), ("data", b"[]")]
    asks = job._replace(queue="reports", labels='{"order":"42"}')
    assert content_of(asks) == [*content_of(job), ("queue", "reports"), ("labels", '{"order":"42"}')]


def test_when_and_in_which_trace_a_job_was_submitted_is_not_its_content() -> None:
    job = NewJob("a", "noop", b"[]")
    assert content_of(job._replace(due_at=1.5, trace="00-a")) == content_of(job)
