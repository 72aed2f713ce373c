"""jobqueue/keys.py and docs/redis-keys.md name the same keys."""

import inspect
import re
from collections.abc import Iterator

import pytest

from jobqueue import keys
from tests.redis_schema import read_schema

MEMBERS = {
    "registry": ("wip", "scheduled", "deferred", "ready", "finished", "failed", "canceled"),
    "counter": ("enqueued", "finished", "failed", "stopped", "seconds"),
    "callbacks": ("waiting", "delivered", "dead"),
    **dict.fromkeys(("callback_lane", "callbacks_in_flight", "callback_host"), ("<*>:<*>",)),
    "scaler": (*("leader", "orders", "intents", "instances", "gone", "decisions", "report", "caution", "learned"),),
}
"""Functions that make several keys, and the words that they are called with."""
CHANNELS = {"pubsub"}
"""What is no key, but a channel."""


def _generated() -> Iterator[str]:
    yield from (keys.LAYOUT, keys.LAYOUT_MARK)
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if name in CHANNELS:
            continue
        for member in MEMBERS.get(name, ("",)):
            words = ["<prefix>" if place == "prefix" else "<*>" for place in inspect.signature(function).parameters]
            if member:
                words[1] = member
            yield function(*words)


def _anonymous(pattern: str) -> str:
    return re.sub(r"<(?!prefix>)[^>]+>", "<*>", pattern)


@pytest.mark.parametrize("pattern", sorted(_generated()))
def test_every_key_that_python_makes_is_documented(pattern: str) -> None:
    assert pattern in {_anonymous(documented) for documented in read_schema()}


def test_the_schema_is_read_from_the_page() -> None:
    job = read_schema()["<prefix>:job:<id>"]
    assert job.type == "hash"
    assert {"data", "status", "started_at", "wm_feed"} <= job.fields
    assert job.expression.fullmatch("rq:job:a-1")
    assert not job.expression.fullmatch("rq:job:a-1:dependents")
