"""JSON text of other programs: what may be shown inside a larger document, and why not."""

import json

import pytest

from jobqueue.json_text import MAX_DEPTH, json_object, why_not_json, why_not_shown


@pytest.mark.parametrize(
    "text",
    [b"1", b'"\\ud800"', b"1e999", b'{"a": [1, {"b": "[[[[{{{{"}]}', b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, b"9" * 300],
)
def test_json_is_shown_unchanged(text: bytes) -> None:
    assert why_not_shown(text) == ""


@pytest.mark.parametrize("text", [b"", b"NaN", b"[1, Infinity]", b"\xff", b"{", b"\x80\x04N.", '"x"'.encode("utf-16")])
def test_what_is_no_json_says_so(text: bytes) -> None:
    assert why_not_json(text) == "it is not JSON"


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 970, 5000, 1_000_000])
def test_a_value_nested_too_deep_says_so(depth: int) -> None:
    assert "nested" in why_not_shown(b"[" * depth + b"]" * depth)


def test_brackets_in_strings_are_no_nesting() -> None:
    assert why_not_shown(json.dumps(["[" * 2000 + '\\"' + "{" * 2000]).encode()) == ""


@pytest.mark.parametrize("text", [None, b"", b"[]", b"x", b"\xff", b'{"a": NaN}', b'{"a":' * 150 + b"1" + b"}" * 150])
def test_a_stored_object_that_cannot_be_read_is_none(text: bytes | None) -> None:
    assert json_object(text) is None


def test_a_stored_object_is_read() -> None:
    assert json_object(b'{"a": [1, "x"]}') == {"a": [1, "x"]}
