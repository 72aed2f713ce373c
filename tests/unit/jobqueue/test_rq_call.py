"""Decoding the call in a job's record, without running any of its code."""

import json
import pickle
import zlib

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.rq_call import MAX_CALL_BYTES, CallTooLarge, decode_call, decompress, requested_function

CALL = ["shop.order", None, [1, "ü"], {"express": True}]
PLAIN = json.dumps(CALL).encode()


@pytest.mark.parametrize("data", [PLAIN, zlib.compress(PLAIN), PLAIN + b" \n", zlib.compress(b"\n " + PLAIN + b"\n")])
def test_json_calls_are_decoded_plain_or_compressed(data: bytes) -> None:
    assert decode_call(data) == CALL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"[1, 2",
        PLAIN + b"]",
        PLAIN + b" " + PLAIN,
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


def test_a_call_that_unpacks_to_gigabytes_is_refused_without_unpacking_it() -> None:
    bomb = zlib.compress(b"[" + b" " * (MAX_CALL_BYTES + 1) + b"]", 9)
    with pytest.raises(CallTooLarge, match="larger than"):
        decompress(bomb)
    assert decode_call(bomb) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PLAIN, "shop.order"),
        (zlib.compress(PLAIN), "shop.order"),
        (b'["worker_node.functions.noop", null, ' + b"[" * 100_000, "noop"),
        (zlib.compress(b'["shop.order", null, [' + b'"x", ' * 10_000_000), "shop.order"),
        (b'["\\ud800", null, [], {}]', "\\ud800"),
        (b'["' + b"x" * 10_000_000 + b'"]', ""),
        (pickle.dumps(tuple(CALL)), ""),
        (b"[1, 2]", ""),
        (b"[", ""),
        (b"", ""),
    ],
)
def test_the_function_is_named_from_the_first_bytes_of_a_call(data: bytes, expected: str) -> None:
    assert requested_function(data, FunctionRegistry.discover(())) == expected


def test_a_call_nested_too_deep_is_not_decoded() -> None:
    assert decode_call(b'["a", null, ' + b"[" * 100_000 + b"]" * 100_000 + b", {}]") is None
