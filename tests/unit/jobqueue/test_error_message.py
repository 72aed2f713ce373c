"""The message that is shown of a recorded traceback."""

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Callable

import pytest

from jobqueue.error_message import MAX_MESSAGE_CHARS, error_message, first_line


def _raise(error: BaseException, cause: BaseException | None = None) -> None:
    raise error from cause


def _noted(error: BaseException, note: str) -> BaseException:
    error.add_note(note)
    return error


def _caught(error: BaseException) -> BaseException:
    """Return the exception with a traceback of its own."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - the test's own
        return caught


async def _fail_in_a_task_group() -> None:
    async def fail() -> None:
        raise ValueError("boom\nsecond line")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


def _recorded(function: Callable[[], object]) -> str:
    """Return the traceback as RQ records it."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - the test's own
        return "".join(traceback.format_exception(error))
    raise AssertionError("it did not fail")


QUOTED = 'child failed:\n  indented\nTraceback (most recent call last):\n  File "x", line 1\nKeyError: 1'


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (lambda: _raise(ValueError("plain")), "ValueError: plain"),
        (lambda: _raise(ValueError("one\ntwo")), "ValueError: one\ntwo"),
        (lambda: _raise(ValueError("one\n\n  two\n")), "ValueError: one\n\n  two"),
        (lambda: _raise(_noted(ValueError("one"), "a hint")), "ValueError: one\na hint"),
        (lambda: _raise(KeyError()), "KeyError"),
        (lambda: _raise(RuntimeError("last"), KeyError("first")), "RuntimeError: last"),
        (lambda: _raise(RuntimeError(QUOTED), _caught(KeyError(2))), f"RuntimeError: {QUOTED}"),
        (lambda: compile("a b", "f", "exec"), "SyntaxError: invalid syntax"),
        (lambda: subprocess.run([sys.executable, "-c", "exit(3)"], check=True), None),
    ],
)
def test_the_message_is_type_and_text_of_the_exception(fail: Callable[[], object], message: str | None) -> None:
    found = error_message(_recorded(fail))
    if message is None:
        assert found.startswith("subprocess.CalledProcessError: Command ")
        assert found.endswith("returned non-zero exit status 3.")
    else:
        assert found == message


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (
            lambda: asyncio.run(_fail_in_a_task_group()),
            "ValueError: boom\nsecond line\n(in ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception))",
        ),
        (
            lambda: _raise(
                ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError(1), KeyError("k")]), _caught(OSError(2))])
            ),
            "ValueError: 1\nKeyError: 'k'\nOSError: 2\n(in ExceptionGroup: outer (2 sub-exceptions))",
        ),
        (
            lambda: _raise(ExceptionGroup("g", [_caught(ValueError("-" * 36 + "\n+---- 1 ----"))]), KeyError("cause")),
            f"ValueError: {'-' * 36}\n+---- 1 ----\n(in ExceptionGroup: g (1 sub-exception))",
        ),
        (
            lambda: _raise(ValueError("  + Exception Group Traceback (most recent call last):\n  | x")),
            "ValueError:   + Exception Group Traceback (most recent call last):\n  | x",
        ),
    ],
    ids=["task group", "nested", "chained", "quoted"],
)
def test_the_message_of_an_exception_group_is_its_leaves(fail: Callable[[], object], message: str) -> None:
    assert error_message(_recorded(fail)) == message


def test_a_large_group_shows_the_first_leaves_and_its_title() -> None:
    lines = error_message(_recorded(lambda: _raise(ExceptionGroup("g", [ValueError(n) for n in range(100)])))).split(
        "\n"
    )
    assert lines[:2] == ["ValueError: 0", "ValueError: 1"]
    assert lines[-2:] == ["and 85 more exceptions", "(in ExceptionGroup: g (100 sub-exceptions))"]


def test_the_message_is_bounded() -> None:
    assert len(error_message(_recorded(lambda: _raise(ValueError("x" * 100_000))))) == MAX_MESSAGE_CHARS
    many = error_message(_recorded(lambda: _raise(ValueError("\n".join(map(str, range(1000)))))))
    assert many.startswith("ValueError: 0\n1\n")
    assert many.endswith("\n19\n…")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ""),
        ("\n", ""),
        ("A sentence. Another.", "A sentence. Another."),
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
        ('Traceback (most recent call last):\n  File "x", line 1', 'File "x", line 1'),
        (
            "  + Exception Group Traceback (most recent call last):",
            "Exception Group Traceback (most recent call last):",
        ),
        ("  | \n  +-+---------------- 1 ----------------", ""),
    ],
)
def test_a_text_that_is_no_whole_traceback_has_a_message_too(text: str, message: str) -> None:
    assert error_message(text) == message


def test_a_traceback_that_was_cut_within_a_line_keeps_its_message() -> None:
    head = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    f('
    tail = '.py", line 3, in f\n    g()\n  File "b.py", line 4, in g\n    h()\nValueError: one\ntwo'
    assert error_message(f"{head}\n... 17 characters left out ...\n{tail}") == "ValueError: one\ntwo"
    whole = "Traceback (most recent call last):\n... 17 characters left out ...\nValueError: one\ntwo"
    assert error_message(whole) == "ValueError: one\ntwo"


def test_the_first_line_is_that_of_the_message() -> None:
    assert first_line(_recorded(lambda: asyncio.run(_fail_in_a_task_group()))) == "ValueError: boom"
