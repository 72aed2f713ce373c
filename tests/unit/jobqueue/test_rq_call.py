"""Reading a record's call without running anything of it."""

import json
import pickle
import zlib

import pytest

from jobqueue.rq_call import decode_call

CALL = ["shop.order", None, [1, "ü"], {"express": True}]
PLAIN = json.dumps(CALL).encode()


@pytest.mark.parametrize("data", [PLAIN, zlib.compress(PLAIN)])
def test_json_calls_are_read_plain_and_compressed(data: bytes) -> None:
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
def test_whatever_else_stands_there_is_not_guessed_at(data: bytes) -> None:
    assert decode_call(data) is None
