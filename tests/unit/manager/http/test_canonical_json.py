"""Canonical JSON: equal values are equal bytes, and no value changes silently."""

import json
import math
from typing import Any

import orjson
import pytest

from manager.http.canonical_json import canonical_json, json_fragment


@pytest.mark.parametrize("value", [{"b": 1, "a": [None, "é", 1.5, 10**30]}, {}, "x", 2**63, -(10**40)])
def test_values_survive_a_round_trip(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert json.loads(orjson.dumps(json_fragment(value))) == value


def test_the_order_of_keys_does_not_matter() -> None:
    assert canonical_json({"b": {"d": 1, "c": 2}, "a": 3}) == canonical_json({"a": 3, "b": {"c": 2, "d": 1}})


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": -math.inf}, [10**30, math.nan]])
def test_values_beyond_json_are_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)
    assert orjson.dumps(json_fragment(value)) == b"null"


def test_lone_surrogates_of_other_writers_can_be_shown() -> None:
    assert json.loads(orjson.dumps(json_fragment({"a": "\ud800"}))) == {"a": "\ud800"}
