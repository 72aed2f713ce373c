"""RFC 9457 problem details for errors."""

import json

import pytest

from jobqueue.errors import JobQueueError, QueueFull, ShardUnavailable
from manager.http.problems import (
    Problem,
    ProblemType,
    duplicate_unique_key,
    http_status_problem,
    queue_problem,
    unavailable_problem,
)


def test_the_document_has_the_members_of_rfc_9457() -> None:
    problem = Problem(ProblemType(409, "wrong", "It is wrong"), "very", id="a")
    assert json.loads(problem.to_json("/jobs/a")) == {
        "type": "urn:workmanager:problem:wrong",
        "title": "It is wrong",
        "status": 409,
        "detail": "very",
        "instance": "/jobs/a",
        "id": "a",
    }


@pytest.mark.parametrize(
    ("error", "status", "has_retry_after"),
    [(ShardUnavailable("unavailable"), 503, True), (QueueFull("full"), 503, True), (JobQueueError("?"), 500, False)],
)
def test_errors_of_the_queue(error: JobQueueError, status: int, has_retry_after: bool) -> None:
    problem = queue_problem(error)
    assert problem.status == status
    assert ("Retry-After" in problem.headers) is has_retry_after


def test_an_unknown_outcome_is_mentioned() -> None:
    assert "may have been made" in unavailable_problem(ShardUnavailable("", outcome_unknown=True), "a").detail
    assert "may have been made" not in unavailable_problem(ShardUnavailable(""), "a").detail


def test_a_held_unique_key_says_when_it_is_free() -> None:
    problem = duplicate_unique_key("first", 2.1)
    assert (problem.status, problem.headers["Retry-After"], problem.members["id"]) == (409, "3", "first")


def test_a_405_names_the_supported_methods() -> None:
    assert http_status_problem(405, "/jobs", ["GET", "POST"]).headers == {"Allow": "GET, POST"}
    assert http_status_problem(404, "/nowhere", []).status == 404
