"""Decodes jobs' times as workers have stored them (`jobqueue/lifecycle/times.py`); another program may have written."""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from jobqueue.lifecycle.times import BOUNDS, HISTOGRAMS, WIDTH, Example, Pair
from jobqueue.stored_values import MAX_INTEGER, shown_name

_JOBS = len(HISTOGRAMS)
_NUMBERS = WIDTH * _JOBS
_NUMERIC = frozenset({int, float})

_NOTHING: tuple[Sequence[float], Sequence[Any]] = ((0,) * _NUMBERS, (0,) * _JOBS)


def decode_pair(stored: bytes) -> Pair | None:
    """Return the queue and the function of a stored pair, as they are shown; None if it is none."""
    try:
        queue, function = json.loads(stored)
        return shown_name(queue), shown_name(function)
    except (ValueError, TypeError, AttributeError):
        return None


def decode_times(stored: bytes) -> tuple[Sequence[float], Sequence[Any]]:
    """Return the numbers of stored times, and for each histogram what may be an example; nothing if they are no times.

    Hot path of a scrape: there can be thousands.
    """
    try:
        found = orjson.loads(stored)
        numbers, examples = found["n"], found["e"]
        is_right = len(numbers) == _NUMBERS and len(examples) == _JOBS and _NUMERIC.issuperset(map(type, numbers))
        if is_right and min(numbers) >= 0 and sum(numbers) <= MAX_INTEGER:
            return numbers, examples
    except (ValueError, TypeError, KeyError):
        pass
    return _NOTHING


def is_example(stored: Any) -> bool:
    """Return whether something has the values of an `Example`: bucket, job id, seconds, Unix time."""
    if type(stored) is not list or len(stored) != len(Example._fields):
        return False
    bucket, job_id, seconds, at = stored
    return (
        (type(bucket) is int and type(job_id) is str and type(seconds) in _NUMERIC and type(at) in _NUMERIC)
        and 0 <= bucket <= len(BOUNDS)
        and 0 <= seconds <= MAX_INTEGER
        and 0 <= at <= MAX_INTEGER
    )
