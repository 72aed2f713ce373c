"""Encoding of what a job produced: its result as RQ stores it, or the traceback of its failure."""

import base64
import json
import pickle
import traceback
from typing import Any

from jobqueue.model import MAX_RESULT_BYTES

PLACEHOLDER = "Unserializable return value"
"""Stored by RQ in place of a result that its serializer cannot encode."""
MAX_TRACEBACK_CHARS = 32_768

_STRICT_JSON = json.JSONEncoder(allow_nan=False)


class ResultError(Exception):
    """The job ran, but its result cannot be stored; the message says why."""


def encode_result(value: Any, *, pickled: bool, from_http: bool) -> bytes:
    """Return the result serialised as the job's record is, in base64.

    Results of HTTP jobs must be strict JSON. For plain RQ jobs, a result that cannot be serialised becomes RQ's
    placeholder.

    Raises:
        ResultError: the result of an HTTP job is not JSON, or a result is larger than 1 MiB.
    """
    try:
        serialised = _serialise(value, pickled=pickled, strict=from_http)
    except Exception as error:  # Serializers call the value's own code.
        if from_http:
            raise ResultError(f"the result cannot be written as JSON: {type(error).__name__}: {error}") from error
        serialised = _serialise(PLACEHOLDER, pickled=pickled, strict=False)
    if len(serialised) > MAX_RESULT_BYTES:
        raise ResultError(f"the result has {len(serialised)} bytes, the maximum is {MAX_RESULT_BYTES}")
    return base64.b64encode(serialised)


def format_traceback(error: BaseException) -> str:
    """Return the traceback from the job's function on, without the middle of a huge one; its last line is the message.

    The first frame, which is the executor's own, is left out.
    """
    frames = error.__traceback__
    if frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
    if len(text) > MAX_TRACEBACK_CHARS:
        half = MAX_TRACEBACK_CHARS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def _serialise(value: Any, *, pickled: bool, strict: bool) -> bytes:
    if pickled:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return (_STRICT_JSON.encode(value) if strict else json.dumps(value)).encode()
