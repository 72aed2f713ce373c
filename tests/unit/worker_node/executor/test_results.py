"""How results are encoded."""

import base64
import json
import pickle
from typing import Any

import pytest
from rq.serializers import JSONSerializer

from jobqueue.json_text import MAX_DEPTH
from jobqueue.model import MAX_RESULT_BYTES
from worker_node.executor.results import PLACEHOLDER, ResultError, encode_result


@pytest.mark.parametrize("value", [None, 1, "text", [1, {"a": None}], "\ud800"])
def test_a_result_is_encoded_with_the_serializer_of_its_record(value: Any) -> None:
    assert json.loads(base64.b64decode(encode_result(value, pickled=False, from_http=True))) == value
    assert pickle.loads(base64.b64decode(encode_result(value, pickled=True, from_http=False))) == value


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_an_http_jobs_result_must_be_json(value: Any) -> None:
    with pytest.raises(ResultError, match="cannot be written as JSON"):
        encode_result(value, pickled=False, from_http=True)


@pytest.mark.parametrize("pickled", [False, True])
def test_an_unserialisable_result_of_a_plain_rq_job_becomes_rqs_placeholder(pickled: bool) -> None:
    serialised = base64.b64decode(encode_result(lambda: None, pickled=pickled, from_http=False))
    assert (pickle.loads(serialised) if pickled else json.loads(serialised)) == PLACEHOLDER


def test_an_http_jobs_result_must_not_be_nested_deeper_than_it_can_be_shown() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    encode_result(value, pickled=False, from_http=True)
    with pytest.raises(ResultError, match="nested more than 400 levels deep"):
        encode_result([value], pickled=False, from_http=True)
    encode_result([value], pickled=False, from_http=False)


@pytest.mark.parametrize("pickled", [False, True])
def test_a_result_larger_than_a_mebibyte_is_an_error(pickled: bool) -> None:
    encode_result("x" * (MAX_RESULT_BYTES - 100), pickled=pickled, from_http=not pickled)
    with pytest.raises(ResultError, match=f"the maximum is {MAX_RESULT_BYTES}"):
        encode_result("x" * MAX_RESULT_BYTES, pickled=pickled, from_http=not pickled)


@pytest.mark.parametrize("from_http", [False, True])
@pytest.mark.parametrize("character", ["é", "я", "字", "😀"])
def test_the_limit_counts_text_of_any_script_in_utf_8(character: str, from_http: bool) -> None:
    size = len(character.encode())
    most = character * ((MAX_RESULT_BYTES - 2) // size)
    serialised = base64.b64decode(encode_result(most, pickled=False, from_http=from_http))
    assert JSONSerializer.loads(serialised) == most, "plain RQ clients read it"
    with pytest.raises(ResultError, match="the maximum is"):
        encode_result(most + character, pickled=False, from_http=from_http)
