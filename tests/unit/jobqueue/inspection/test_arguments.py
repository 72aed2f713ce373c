"""What is shown of a job's arguments."""

import json
import pickle
import zlib
from typing import Any

import orjson
import pytest

from jobqueue.inspection.arguments import (
    HIDDEN,
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_SHOWN_CALL_BYTES,
    MAX_TEXT_CHARACTERS,
    MAX_VALUES,
    PICKLED,
    UNREADABLE,
    Arguments,
    show_arguments,
)

NAMES = ("billing.charge", "billing.charge")
MAX_SHOWN_BYTES = 1024 * 1024
"""Of arguments that are as large as can be."""


def _call(*args: Any, **kwargs: Any) -> bytes:
    return json.dumps(["billing.charge", None, args, kwargs]).encode()


def _show(data: bytes, names: tuple[str, ...] = NAMES, hidden: tuple[str, ...] = ()) -> Arguments:
    return show_arguments(data, len(data), names, hidden)


@pytest.mark.parametrize("compress", [bytes, zlib.compress])
def test_ordinary_arguments_are_shown_as_they_are(compress: Any) -> None:
    args, kwargs = [1, -2.5, "ü", None, True, [], {}], {"a": {"b": [{"c": "d"}]}, "big": 2**62}
    assert _show(compress(_call(*args, **kwargs))) == Arguments(args, kwargs, None)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 300, "x" * MAX_TEXT_CHARACTERS + "… (300 characters)"),
        (list(range(1000)), [*range(MAX_ENTRIES), "… (1000 entries)"]),
        ({str(n): n for n in range(99)}, {**{str(n): n for n in range(MAX_ENTRIES)}, "…": "(99 entries)"}),
        (10**30, "1" + "0" * 30),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("\ud800", "?"),
        ({"\udfff" * 300: 1}, {"?" * MAX_TEXT_CHARACTERS + "… (300 characters)": 1}),
    ],
    ids=["text", "list", "object", "integer", "nan", "infinity", "surrogate", "name"],
)
def test_what_is_long_or_cannot_be_written_is_shortened(value: Any, shown: Any) -> None:
    found = _show(_call(value, value=value))
    assert (found.args, found.kwargs, found.note) == ([shown], {"value": shown}, None)


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        _nested(200),
        [[["\u0001" * 300] * 60] * 60] * 60,
        {str(n): {str(m): "ü" * 400 for m in range(60)} for n in range(60)},
    ],
    ids=["deep", "wide", "objects"],
)
def test_however_large_arguments_are_little_is_shown_and_it_is_json(value: Any) -> None:
    found = _show(_call(value))
    assert found.note is None
    encoded = orjson.dumps([found.args, found.kwargs])
    assert len(encoded) <= MAX_SHOWN_BYTES
    assert encoded.count(b"[") <= MAX_VALUES + MAX_DEPTH


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (pickle.dumps(("billing.charge", None, (), {})), PICKLED),
        (zlib.compress(pickle.dumps(("billing.charge", None, (), {}))), PICKLED),
        (b"nonsense", UNREADABLE),
        (b"[" * 100_000, UNREADABLE),
        (b'["billing.charge", null, [' + b"9" * 5_000 + b"], {}]", UNREADABLE),
        (b'["billing.charge", null, 1, 2]', UNREADABLE),
        (b'["billing.charge"]', UNREADABLE),
        (b"[1, 2, 3, 4]", UNREADABLE),
        (zlib.compress(_call())[:-3], UNREADABLE),
        (zlib.compress(b"[" + b" " * 100_000_000), f"more than {MAX_SHOWN_CALL_BYTES} bytes"),
    ],
    ids=["pickle", "zipped", "text", "deep", "digits", "shape", "short", "types", "cut", "bomb"],
)
def test_a_call_that_cannot_be_shown_says_why(data: bytes, note: str) -> None:
    found = _show(data)
    assert (found.args, found.kwargs) == (None, None)
    assert note in str(found.note)


def test_a_call_that_was_too_large_to_read_tells_its_size() -> None:
    assert show_arguments(b"", 5_000_000, NAMES, ()).note == "not shown: the call has 5000000 bytes"


@pytest.mark.parametrize(
    ("hidden", "is_hidden"),
    [
        (("billing.charge",), True),
        (("billing.*",), True),
        (("*",), True),
        (("other", "billing.char?e"), True),
        (("billing",), False),
        (("BILLING.*",), False),
        ((), False),
    ],
)
def test_arguments_of_functions_that_an_operator_names_are_hidden(hidden: tuple[str, ...], is_hidden: bool) -> None:
    found = _show(_call("4111 1111 1111 1111"), hidden=hidden)
    assert (found.note == HIDDEN, found.args is None) == (is_hidden, is_hidden)


@pytest.mark.parametrize("pattern", ["http", "worker_node.functions.*"])
def test_a_built_in_function_is_hidden_by_its_name_or_its_path(pattern: str) -> None:
    assert _show(_call(), names=("http", "worker_node.functions.http"), hidden=(pattern,)).note == HIDDEN
