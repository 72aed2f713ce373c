"""Decodes jobs' times as workers have stored them (`jobqueue/lifecycle/times.py`); another program may have written."""

import json

import orjson

from jobqueue.lifecycle.times import HISTOGRAMS, WIDTH, Example, Pair, Times
from jobqueue.stored_values import shown_name

_NUMBERS = WIDTH * len(HISTOGRAMS)
_NUMERIC = {int, float}


def decode_pair(stored: bytes) -> Pair | None:
    """Return the queue and the function of a stored pair, as they are shown; None if it is none."""
    try:
        queue, function = json.loads(stored)
        return shown_name(queue), shown_name(function)
    except (ValueError, TypeError, AttributeError):
        return None


def decode_times(stored: bytes) -> Times:
    """Return stored times; nothing if they are something else. Hot path of a scrape: there can be thousands."""
    try:
        found = orjson.loads(stored)
        numbers, examples = found["n"], found["e"]
        if len(numbers) == _NUMBERS and {*map(type, numbers)} <= _NUMERIC and len(examples) == len(HISTOGRAMS):
            return Times(numbers, [Example(*example) if example else None for example in examples])
    except (ValueError, TypeError, KeyError):
        pass
    return Times()
