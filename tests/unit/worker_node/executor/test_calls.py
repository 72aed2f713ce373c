"""What a record asks to call, and whether it may."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from jobqueue.functions import FunctionRegistry
from tests.unit.worker_node.operator_module import Counter
from worker_node.executor.calls import CallDecoder, Rejected
from worker_node.executor.results import PLACEHOLDER, ResultError, encode_result

SAMPLE = "tests.unit.worker_node.operator_module"


def _calls(*, allow_pickle: bool = False) -> CallDecoder:
    return CallDecoder(FunctionRegistry.discover([SAMPLE]), allow_pickle=allow_pickle)


def _json(path: str, *args: Any, instance: Any = None, **kwargs: Any) -> bytes:
    return json.dumps([path, instance, args, kwargs]).encode()


def _pickle(path: str, *args: Any, instance: Any = None, **kwargs: Any) -> bytes:
    return pickle.dumps((path, instance, args, kwargs))


def _run(calls: CallDecoder, data: bytes) -> Any:
    call = calls.decode(data)
    return call.target(*call.args, **call.kwargs)


@pytest.mark.parametrize("compress", [bytes, zlib.compress])
@pytest.mark.parametrize("write", [_json, _pickle])
def test_a_record_is_read_whichever_way_a_client_wrote_it(write: Any, compress: Any) -> None:
    call = _calls(allow_pickle=True).decode(compress(write(f"{SAMPLE}.add", 1, b=2)))
    assert (call.function, call.target(*call.args, **call.kwargs)) == (f"{SAMPLE}.add", 3)
    assert call.pickled is (write is _pickle)


def test_built_in_functions_have_their_public_names() -> None:
    assert _calls().decode(_json("worker_node.functions.noop")).function == "noop"


def test_a_bound_method_and_a_callable_instance_of_a_registered_class_run() -> None:
    calls = _calls(allow_pickle=True)
    assert _run(calls, _pickle("plus", 2, instance=Counter(40))) == 42
    assert calls.decode(_pickle("plus", 2, instance=Counter(40))).function == f"{SAMPLE}.Counter.plus"
    assert _run(calls, _pickle("__call__", 2, instance=Counter(44))) == 42


def test_a_static_method_and_a_function_that_parsing_does_not_find_run() -> None:
    assert _run(_calls(), _json(f"{SAMPLE}.Counter.zero")) == 0
    assert _run(_calls(), _json(f"{SAMPLE}.twice", 21)) == 42


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_json("os.system", "true"), "'os.system' is not registered"),
        (_json("builtins.eval", "1"), "not registered"),
        (_json("eval", "1"), "not registered"),
        (_json(f"{SAMPLE}._private"), "not registered"),
        (_json(f"{SAMPLE}.missing"), "defines no function"),
        (_json(f"{SAMPLE}.os.system", "true"), "defines no function 'os.system'"),
        (_json(f"{SAMPLE}.os"), "defines no function"),
        (_json(f"{SAMPLE}.Callable"), "defines no function"),
        (_json(f"{SAMPLE}.add.__globals__"), "not registered"),
        (_json(f"{SAMPLE}.Counter.start"), "defines no function|not a function"),
        (_json("upper", instance="text"), "class 'builtins.str' is not in a registered module"),
        (_pickle(f"{SAMPLE}.add", 1, 2), "WORKMANAGER_ALLOW_PICKLE"),
        (zlib.compress(_pickle(f"{SAMPLE}.add", 1, 2)), "WORKMANAGER_ALLOW_PICKLE"),
        (b"", "neither JSON nor a pickle"),
        (b"\xff\xff", "neither JSON nor a pickle"),
        (zlib.compress(b"text"), "cannot be read"),
        (b"[1", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'["a"]', "cannot be read"),
        (b"[1, null, [], {}]", "is not \\[function, instance, args, kwargs\\]"),
        (b'["a", null, {}, {}]', "is not"),
        (b'["a", null, [], []]', "is not"),
    ],
)
def test_what_is_not_registered_or_not_readable_is_rejected(data: bytes, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        _calls().decode(data)


def test_instances_of_other_classes_and_private_methods_are_rejected() -> None:
    calls = _calls(allow_pickle=True)
    with pytest.raises(Rejected, match="not in a registered module"):
        calls.decode(_pickle("read_text", instance=Path("x")))
    with pytest.raises(Rejected, match="no public method"):
        calls.decode(_pickle("_hidden", instance=Counter(1)))
    with pytest.raises(Rejected, match="no public method"):
        calls.decode(_pickle("missing", instance=Counter(1)))


def test_a_pickle_that_cannot_be_loaded_is_rejected() -> None:
    with pytest.raises(Rejected, match="ModuleNotFoundError"):
        _calls(allow_pickle=True).decode(b"\x80\x04cno_such_module\nThing\n.")


def test_a_rejection_names_what_was_asked_for() -> None:
    with pytest.raises(Rejected) as caught:
        _calls().decode(_json("os.system", "true"))
    assert caught.value.function == "os.system"
    assert _calls().requested_function(_json("worker_node.functions.sleep")) == "sleep"
    assert _calls().requested_function(b"?") == ""


@pytest.mark.parametrize("value", [None, 1, "text", [1, {"a": None}], "\ud800"])
def test_a_result_is_written_as_its_record_was(value: Any) -> None:
    assert json.loads(base64.b64decode(encode_result(value, pickled=False, from_http=True))) == value
    assert pickle.loads(base64.b64decode(encode_result(value, pickled=True, from_http=False))) == value


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_an_http_jobs_result_that_is_no_json_is_an_error(value: Any) -> None:
    with pytest.raises(ResultError, match="cannot be written as JSON"):
        encode_result(value, pickled=False, from_http=True)


@pytest.mark.parametrize("pickled", [False, True])
def test_a_stock_jobs_result_that_cannot_be_serialised_becomes_rqs_placeholder(pickled: bool) -> None:
    serialised = base64.b64decode(encode_result(lambda: None, pickled=pickled, from_http=False))
    assert (pickle.loads(serialised) if pickled else json.loads(serialised)) == PLACEHOLDER


@pytest.mark.parametrize("pickled", [False, True])
def test_a_result_of_more_than_a_mebibyte_is_an_error(pickled: bool) -> None:
    encode_result("x" * (1024 * 1024 - 100), pickled=pickled, from_http=not pickled)
    with pytest.raises(ResultError, match="the maximum is 1048576"):
        encode_result("x" * 1024 * 1024, pickled=pickled, from_http=not pickled)
