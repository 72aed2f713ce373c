"""A claimed job for tests."""

from typing import Any

from jobqueue.claimed_job import ClaimedJob


def claimed_job(**fields: Any) -> ClaimedJob:
    """Return a job of HTTP without a timeout, with other fields as given."""
    defaults: dict[str, Any] = {
        "id": "a",
        "token": "token",
        "shard_index": 0,
        "queue": "default",
        "data": b"[]",
        "timeout_seconds": None,
        "from_http": True,
        "feed": True,
        "result_ttl_seconds": 60,
        "failure_ttl_seconds": 60,
        "attempt": 1,
    }
    return ClaimedJob(**{**defaults, **fields})
