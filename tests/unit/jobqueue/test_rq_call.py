"""Decoding the call in a job's record, without running any of its code."""

import json
import pickle
import zlib

import pytest

from jobqueue.rq_call import decode_call

CALL = ["shop.order", None, [1, "ü"], {"express": True}]
PLAIN = json.dumps(CALL).encode()


@pytest.mark.parametrize("data", [PLAIN, zlib.compress(PLAIN)])
def test_json_calls_are_decoded_plain_or_compressed(data: bytes) -> None:
    assert decode_call(data) == CALL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[1, 2",
        b"[]",
        b'["a", null, []]',
        b'{"a": 1}',
        pickle.dumps(tuple(CALL)),
        zlib.compress(pickle.dumps(tuple(CALL))),
        zlib.compress(b"\xff\xfe"),
    ],
)
def test_other_data_is_not_decoded(data: bytes) -> None:
    assert decode_call(data) is None
