"""Which function call a record asks for, and whether the worker allows it."""

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.rq_call import requested_function
from tests.unit.worker_node.operator_module import Counter
from worker_node.executor.calls import CallDecoder, Rejected

MODULE = "tests.unit.worker_node.operator_module"


def _decoder(*, allow_pickle: bool = False) -> CallDecoder:
    return CallDecoder(FunctionRegistry.discover([MODULE]), allow_pickle=allow_pickle)


def _json(path: str, *args: Any, instance: Any = None, **kwargs: Any) -> bytes:
    return json.dumps([path, instance, args, kwargs]).encode()


def _pickle(path: str, *args: Any, instance: Any = None, **kwargs: Any) -> bytes:
    return pickle.dumps((path, instance, args, kwargs))


def _run(decoder: CallDecoder, data: bytes) -> Any:
    call = decoder.decode(data)
    return call.target(*call.args, **call.kwargs)


@pytest.mark.parametrize("compress", [bytes, zlib.compress])
@pytest.mark.parametrize("write", [_json, _pickle])
def test_records_are_decoded_as_json_or_pickle_compressed_or_not(write: Any, compress: Any) -> None:
    call = _decoder(allow_pickle=True).decode(compress(write(f"{MODULE}.add", 1, b=2)))
    assert (call.function, call.target(*call.args, **call.kwargs)) == (f"{MODULE}.add", 3)
    assert call.pickled is (write is _pickle)


def test_built_in_functions_have_their_public_names() -> None:
    assert _decoder().decode(_json("worker_node.functions.noop")).function == "noop"


def test_methods_and_callable_instances_of_registered_classes_run() -> None:
    decoder = _decoder(allow_pickle=True)
    assert _run(decoder, _pickle("plus", 2, instance=Counter(40))) == 42
    assert decoder.decode(_pickle("plus", 2, instance=Counter(40))).function == f"{MODULE}.Counter.plus"
    assert _run(decoder, _pickle("__call__", 2, instance=Counter(44))) == 42


def test_static_methods_and_functions_that_parsing_does_not_find_run() -> None:
    assert _run(_decoder(), _json(f"{MODULE}.Counter.zero")) == 0
    assert _run(_decoder(), _json(f"{MODULE}.twice", 21)) == 42


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_json("os.system", "true"), "'os.system' is not registered"),
        (_json("builtins.eval", "1"), "not registered"),
        (_json("eval", "1"), "not registered"),
        (_json(f"{MODULE}._private"), "not registered"),
        (_json(f"{MODULE}.missing"), "defines no function"),
        (_json(f"{MODULE}.os.system", "true"), "defines no function 'os.system'"),
        (_json(f"{MODULE}.os"), "defines no function"),
        (_json(f"{MODULE}.Callable"), "defines no function"),
        (_json(f"{MODULE}.add.__globals__"), "not registered"),
        (_json(f"{MODULE}.Counter.start"), "defines no function|not a function"),
        (_json("upper", instance="text"), "calls a method of 'str', a value in JSON"),
        (_json("noop", instance={"a": 1}), "calls a method of 'dict'"),
        (_json(f"{MODULE}.add", 1, 2, instance=[1]), "calls a method of 'list'"),
        (_json("worker_node.functions.noop", instance=0), "calls a method of 'int'"),
        (_pickle(f"{MODULE}.add", 1, 2), "WORKMANAGER_ALLOW_PICKLE"),
        (zlib.compress(_pickle(f"{MODULE}.add", 1, 2)), "WORKMANAGER_ALLOW_PICKLE"),
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
def test_unregistered_functions_and_unreadable_records_are_rejected(data: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message) as caught:
        _decoder().decode(data)
    # The agent compares: it takes another name than the record's for a forged report, and kills the executor.
    assert caught.value.function in ("", requested_function(data, FunctionRegistry.discover([MODULE])))


def test_instances_of_other_classes_and_private_methods_are_rejected() -> None:
    decoder = _decoder(allow_pickle=True)
    with pytest.raises(Rejected, match="not in a registered module"):
        decoder.decode(_pickle("read_text", instance=Path("x")))
    with pytest.raises(Rejected, match="no public method"):
        decoder.decode(_pickle("_hidden", instance=Counter(1)))
    with pytest.raises(Rejected, match="no public method"):
        decoder.decode(_pickle("missing", instance=Counter(1)))


def test_a_pickle_that_cannot_be_loaded_is_rejected() -> None:
    with pytest.raises(Rejected, match="ModuleNotFoundError"):
        _decoder(allow_pickle=True).decode(b"\x80\x04cno_such_module\nThing\n.")


def test_a_rejection_names_what_was_asked_for() -> None:
    with pytest.raises(Rejected) as caught:
        _decoder().decode(_json("os.system", "true"))
    assert caught.value.function == "os.system"
    assert _decoder().requested_function(_json("worker_node.functions.sleep")) == "sleep"
    assert _decoder().requested_function(b"?") == ""


def test_a_callback_that_is_not_registered_is_rejected_in_the_name_of_its_job() -> None:
    decoder = _decoder()
    assert decoder.callback("worker_node.functions.noop", "on_success", "f")() is None
    with pytest.raises(Rejected) as caught:
        decoder.callback("os.system", "on_failure", "f")
    assert "its on_failure callback cannot be called: the function 'os.system' is not registered" in str(caught.value)
    assert caught.value.function == "f"


class _Odd:
    """Unpickling it raises an exception whose text cannot be made."""

    def __reduce__(self) -> Any:
        return _raise_unprintable, ()


class _UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def _raise_unprintable() -> None:
    raise _UnprintableError


def test_a_pickle_that_raises_what_cannot_be_shown_is_rejected() -> None:
    with pytest.raises(Rejected, match="cannot be read: an exception that cannot be shown"):
        _decoder(allow_pickle=True).decode(pickle.dumps(_Odd()))


@pytest.mark.parametrize("method", ["\ud800", "plus more", "", "x" * 5000])
def test_a_method_name_that_is_none_is_rejected(method: str) -> None:
    with pytest.raises(Rejected, match="no public method") as caught:
        _decoder(allow_pickle=True).decode(_pickle(method, instance=Counter(1)))
    assert len(str(caught.value)) < 500


def test_only_calls_of_known_functions_in_plain_json_are_decoded_ahead() -> None:
    decoder, add = _decoder(allow_pickle=True), _json(f"{MODULE}.add", 1, b=2)
    assert decoder.decode_resolved(add) is None, "it may have to be imported"
    call = decoder.decode(add)
    assert decoder.decode_resolved(add) == call
    for data in (zlib.compress(add), _pickle(f"{MODULE}.add", 1, b=2), b"[", _json("os.system", "x")):
        assert decoder.decode_resolved(data) is None
    assert decoder.decode_resolved(_json(f"{MODULE}.add", 1, instance=[])) is None
