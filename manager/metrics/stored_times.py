"""Decodes jobs' times as workers have stored them (`jobqueue/lifecycle/times.py`); another program may have written."""

import json

import orjson

from jobqueue.lifecycle.times import HISTOGRAMS, WIDTH, Example, Pair, Times
from jobqueue.stored_values import MAX_INTEGER, shown_name

_JOBS = len(HISTOGRAMS)
_NUMBERS = WIDTH * _JOBS
_NUMERIC = {int, float}


def decode_pair(stored: bytes) -> Pair | None:
    """Return the queue and the function of a stored pair, as they are shown; None if it is none."""
    try:
        queue, function = json.loads(stored)
        return shown_name(queue), shown_name(function)
    except (ValueError, TypeError, AttributeError):
        return None


def decode_times(stored: bytes, *, examples: bool = True) -> Times:
    """Return stored times; nothing if they are something else. Hot path of a scrape: there can be thousands.

    Args:
        examples: whether they are wanted, too.
    """
    try:
        found = orjson.loads(stored)
        numbers, jobs = found["n"], found["e"]
        well_formed = len(numbers) == _NUMBERS and {*map(type, numbers)} <= _NUMERIC and len(jobs) == _JOBS
        if well_formed and min(numbers) >= 0 and sum(numbers) <= MAX_INTEGER:
            return Times(numbers, [Example(*job) if job else None for job in jobs] if examples else [None] * _JOBS)
    except (ValueError, TypeError, KeyError):
        pass
    return Times()
