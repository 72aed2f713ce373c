"""Encoding of a job's result, as RQ stores it."""

import json
import pickle
from binascii import b2a_base64
from typing import Any

from jobqueue.json_text import MAX_DEPTH, is_shallow
from jobqueue.model import MAX_RESULT_BYTES
from worker_node.executor.failures import text_of

PLACEHOLDER = "Unserializable return value"
"""Stored by RQ in place of a result that its serializer cannot encode."""

_NULL = b2a_base64(b"null", newline=False)
_JSON = json.JSONEncoder(ensure_ascii=False)
_STRICT_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class ResultError(Exception):
    """The job ran, but its result cannot be stored; the message says why."""


def encode_result(value: Any, *, pickled: bool, from_http: bool) -> bytes:
    """Return the result serialised as the job's record is, in base64.

    Results of HTTP jobs must be strict JSON. For plain RQ jobs, a result that cannot be serialised becomes RQ's
    placeholder.

    Raises:
        ResultError: the result of an HTTP job is not JSON, or is nested so deep that nobody could read it; or a
            result is larger than 1 MiB.
    """
    if value is None and not pickled:
        return _NULL  # Many functions return nothing.
    try:
        serialised = _serialise(value, pickled=pickled, strict=from_http)
    except Exception as error:  # Serializers call the value's own code.
        if from_http:
            raise ResultError(f"the result cannot be written as JSON: {text_of(error)}") from error
        serialised = _serialise(PLACEHOLDER, pickled=pickled, strict=False)
    if from_http and not pickled and not is_shallow(serialised):
        raise ResultError(f"the result is nested more than {MAX_DEPTH} levels deep")
    if len(serialised) > MAX_RESULT_BYTES:
        raise ResultError(f"the result has {len(serialised)} bytes, the maximum is {MAX_RESULT_BYTES}")
    return b2a_base64(serialised, newline=False)


def _serialise(value: Any, *, pickled: bool, strict: bool) -> bytes:
    if pickled:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    text = (_STRICT_JSON if strict else _JSON).encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Halves of characters, which only escapes can express. In UTF-8 other text takes a half to a third of those.
        return json.dumps(value).encode()
