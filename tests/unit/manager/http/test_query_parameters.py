"""Query strings: accepted values, and how errors are named."""

import pytest

from manager.http.problems import Problem
from manager.http.query_parameters import Choice, Integer, Number, Query, Text

QUERY = Query(
    Integer("top", "", 1, 100, required=True),
    Number("wait", "", 0, 55, default=0),
    Choice("order", "", ("latest", "oldest"), default="latest"),
    Text("id", "", "[a-z]{1,3}"),
)


def test_values_are_parsed_and_defaults_filled_in() -> None:
    assert QUERY.parse(b"top=7") == {"top": 7, "wait": 0, "order": "latest", "id": None}
    given = QUERY.parse(b"wait=2.5&top=%31%30&order=oldest&id=abc")
    assert given == {"top": 10, "wait": 2.5, "order": "oldest", "id": "abc"}


@pytest.mark.parametrize(
    ("query_string", "named"),
    [
        (b"", "top"),
        (b"top=", "top"),
        (b"top=0", "top"),
        (b"top=101", "top"),
        (b"top=1.0", "top"),
        (b"top=+1", "top"),
        (b"top=1_0", "top"),
        (b"top=\xd9\xa1", "top"),
        (b"top=" + b"9" * 5000, "top"),
        (b"top=1&top=1", "top"),
        (b"top=1&wait=nan", "wait"),
        (b"top=1&wait=inf", "wait"),
        (b"top=1&wait=-1", "wait"),
        (b"top=1&wait=1e999", "wait"),
        (b"top=1&order=Latest", "order"),
        (b"top=1&id=abcd", "id"),
        (b"top=1&id=a%C3%A9", "id"),
        (b"top=1&colour=red", "colour"),
        (b"top=1&", ""),
    ],
)
def test_an_invalid_parameter_is_named(query_string: bytes, named: str) -> None:
    with pytest.raises(Problem) as caught:
        QUERY.parse(query_string)
    assert caught.value.status == 400
    assert caught.value.members["parameter"] == named


@pytest.mark.parametrize("query_string", [b"top=%00", b"top=1&id=a%0a", b"top=%ff", b"%00=1"])
def test_control_characters_and_bad_utf8_are_rejected(query_string: bytes) -> None:
    with pytest.raises(Problem) as caught:
        QUERY.parse(query_string)
    assert caught.value.status == 400


def test_the_openapi_document_shows_the_checks() -> None:
    top, wait, order, text = QUERY.openapi()
    assert top["required"]
    assert top["schema"] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert wait["schema"] == {"type": "number", "minimum": 0, "maximum": 55, "default": 0}
    assert order["schema"]["enum"] == ["latest", "oldest"]
    assert text["schema"]["pattern"] == "^[a-z]{1,3}$"
