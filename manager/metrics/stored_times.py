"""Decodes jobs' times as workers have stored them (`jobqueue/lifecycle/times.py`); another program may have written."""

import json
from typing import Any

import orjson

from jobqueue.lifecycle.times import HISTOGRAMS, WIDTH, Example, Pair, Times
from jobqueue.stored_values import shown_name


def decode_pair(stored: bytes) -> Pair | None:
    """Return the queue and the function of a stored pair, as they are shown; None if it is none."""
    try:
        queue, function = json.loads(stored)
        return shown_name(queue), shown_name(function)
    except (ValueError, TypeError, AttributeError):
        return None


def decode_times(stored: bytes) -> Times:
    """Return stored times; nothing if they are something else."""
    try:
        found = orjson.loads(stored)
        numbers, examples = found["n"], found["e"]
        if len(numbers) == WIDTH * len(HISTOGRAMS) and {*map(type, numbers)} <= {int, float}:
            return Times(numbers, [_example(examples[n]) for n in range(len(HISTOGRAMS))])
    except (ValueError, TypeError, KeyError, IndexError):
        pass
    return Times()


def _example(stored: Any) -> Example | None:
    if not isinstance(stored, list):
        return None
    bucket, job_id, seconds, at = stored
    return Example(int(bucket), str(job_id), float(seconds), float(at))
