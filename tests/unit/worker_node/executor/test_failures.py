"""What is recorded of an exception, whatever its own code does."""

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.error_message import error_message
from worker_node import executor
from worker_node.executor.failures import MAX_TRACEBACK_CHARS, format_traceback, is_permanent, text_of
from worker_node.functions import PermanentError, binary


def _raiser(*_: Any) -> Any:
    raise RuntimeError("not this either")


def _exit(*_: Any) -> Any:
    raise SystemExit


def _exception(**attributes: Any) -> Exception:
    """Return an exception of a new class with these attributes."""
    made: Exception = type("OddError", (Exception,), attributes)("text")
    return made


def _hiding() -> Exception:
    """Return an exception whose class hides its own attributes; in a function, as pytest looks at the module's."""

    class HidingMeta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    class Hiding(Exception, metaclass=HidingMeta):
        pass

    return Hiding("text")


class _OddText(str):
    __slots__ = ()

    def __format__(self, *_: Any) -> str:
        raise RuntimeError

    split = _raiser


def _test_id(value: object) -> str | None:
    # pytest would ask for the value's `__class__`.
    return "error" if issubclass(type(value), BaseException) else None


def _record(error: BaseException) -> str:
    """Return what is recorded of the exception once it was raised."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - as the executor does
        return format_traceback(caught)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SyntaxError("x", ("f", 1, 2, b"t")), "SyntaxError: x"),  # type: ignore[arg-type]
        (SyntaxError("x", (b"f", "one", object(), 5)), "SyntaxError: x"),  # type: ignore[arg-type]
        (SyntaxError("x", ("f", 1, 2, "t", object(), object())), "SyntaxError: x"),  # type: ignore[arg-type]
        (_exception(__str__=_raiser), "<exception str() failed>"),
        (_exception(__str__=_exit), "<exception str() failed>"),
        (_exception(__str__=lambda self: 5), "<exception str() failed>"),
        (_exception(__str__=lambda self: _OddText("odd")), "odd"),
        (_exception(__repr__=_raiser), "text"),
        (_exception(__notes__=property(_raiser)), "text"),
        (_exception(__notes__=5), "text\n5"),
        (_exception(__notes__=[_exception(__str__=_raiser), 5]), "text"),
        (_exception(__notes__=[_OddText("note")]), "text"),
        (_exception(__class__=property(_raiser)), "text"),
        (_exception(__traceback__=property(_raiser)), "text"),
        (_exception(__cause__=property(_raiser)), "text"),
        (_exception(__context__=5), "text"),
        (_exception(__suppress_context__=property(_raiser)), "text"),
        (_exception(__module__=5), "text"),
        (_hiding(), "an exception that cannot be shown"),
        (ValueError("\ud800 é"), "ValueError: \\ud800 é"),
        (ExceptionGroup("group", [_exception(__str__=_raiser)]), "<exception str() failed>"),
        (ExceptionGroup("group", [SyntaxError("x", ("f", 1, 2, b"t"))]), "SyntaxError: x"),  # type: ignore[arg-type]
    ],
    ids=_test_id,
)
def test_any_exception_is_recorded_with_what_can_be_said(error: BaseException, message: str) -> None:
    text = _record(error)
    text.encode()
    assert message in error_message(text)


def _deep_group() -> BaseException:
    error: Exception = ValueError("leaf")
    for _ in range(5000):
        error = ExceptionGroup("g", [error])
    return error


def _long_chain() -> BaseException:
    error = ValueError("last")
    current: BaseException = error
    for number in range(5000):
        current.__context__ = ValueError(number)
        current = current.__context__
    return error


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueError("x" * 10_000_000),
        lambda: ValueError("x\n" * 100_000),
        lambda: _exception(__notes__=["x" * 100_000] * 10),
        lambda: _exception(__notes__="x" * 100_000),
        lambda: ExceptionGroup("wide", [ValueError("x" * 1000) for _ in range(1000)]),
        _deep_group,
        _long_chain,
    ],
)
def test_what_is_recorded_is_bounded_and_keeps_the_message(make: Callable[[], BaseException]) -> None:
    text = _record(make())
    assert len(text) <= MAX_TRACEBACK_CHARS + 100
    message = error_message(text)
    assert message
    assert "characters left out" not in message.split("\n")[0][:100]


def test_a_long_stack_loses_its_middle_and_keeps_the_message() -> None:
    def odd(depth: int) -> None:
        even(depth - 1)

    def even(depth: int) -> None:
        if depth <= 0:
            raise ValueError("at the bottom\nof the stack")
        odd(depth - 1)

    with pytest.raises(ValueError, match="bottom") as caught:
        odd(400)
    text = format_traceback(caught.value)
    assert "characters left out" in text
    assert len(text) < MAX_TRACEBACK_CHARS + 100
    assert error_message(text) == "ValueError: at the bottom\nof the stack"


def _as_the_executor(source: str, **names: Any) -> str:
    """Run code as if it were the executor's own; return what is recorded of its exception."""
    code = compile(source, str(Path(executor.__file__).parent / "__main__.py"), "exec")
    try:
        exec(code, names)
    except BaseException as error:  # noqa: BLE001 - as the executor does
        own = error.__traceback__
        return format_traceback(error.with_traceback(own and own.tb_next))
    raise AssertionError("it did not fail")


def _fail() -> None:
    raise ValueError("text")


async def _fail_later() -> None:
    raise ValueError("text")


@binary
def _fail_with_data(data: bytes) -> None:
    raise ValueError(len(data))


@pytest.mark.parametrize(
    ("source", "names", "first_function"),
    [
        ("f()", {"f": _fail}, "_fail"),
        ("asyncio.run(f())", {"f": _fail_later, "asyncio": asyncio}, "_fail_later"),
        ("f(data='QQ==')", {"f": _fail_with_data}, "_fail_with_data"),
    ],
)
def test_the_traceback_begins_with_the_jobs_function(source: str, names: dict[str, Any], first_function: str) -> None:
    lines = _as_the_executor(source, **names).split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith(f", in {first_function}")


def test_the_traceback_of_a_failed_import_begins_with_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_on_import.py").write_text("raise ValueError('text')\n")
    monkeypatch.syspath_prepend(tmp_path)
    source = "importlib.import_module('failing_on_import')"
    assert 'failing_on_import.py", line 1' in _as_the_executor(source, importlib=importlib).split("\n")[1]


def test_a_call_with_wrong_arguments_has_no_frame_of_the_executor() -> None:
    assert _as_the_executor("f(1)", f=_fail) == "TypeError: _fail() takes 0 positional arguments but 1 was given"


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (PermanentError(), True),
        (type("Sub", (PermanentError,), {})(), True),
        (ExceptionGroup("g", [ValueError(), ExceptionGroup("h", [PermanentError()])]), True),
        (ExceptionGroup("g", [ValueError()]), False),
        (ValueError(), False),
        (_exception(__class__=PermanentError), False),
        (_exception(__class__=property(_raiser)), False),
        (_hiding(), False),
        (_deep_group(), False),
    ],
    ids=_test_id,
)
def test_a_permanent_error_counts_in_a_group_too(error: BaseException, permanent: bool) -> None:
    assert is_permanent(error) is permanent


def test_the_text_of_an_exception_is_one_that_can_be_written() -> None:
    assert text_of(ValueError("\ud800")) == "ValueError: \\ud800"
    assert "cannot be shown" in text_of(_exception(__str__=_raiser))


def test_the_error_at_the_bottom_of_nested_groups_is_shown() -> None:
    error: Exception = ValueError("the leaf")
    for _ in range(30):
        error = ExceptionGroup("g", [error])
    assert "ValueError: the leaf" in format_traceback(error)
