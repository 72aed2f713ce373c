"""Errors of jobs whose arguments are hidden: no text of an exception is left, whatever its form."""

import traceback
from collections.abc import Callable

import pytest

from jobqueue.error_message import error_message
from jobqueue.inspection.arguments import HIDDEN
from jobqueue.inspection.hidden_errors import without_values


class KeyRefused(Exception):
    """With a name of its own."""


def _plain() -> None:
    raise ValueError("secret")


def _lines() -> None:
    raise KeyRefused('secret\n  File "secret"\nsecret: x\nTraceback (most recent call last):\nsecret')


def _chained() -> None:
    try:
        _plain()
    except ValueError as error:
        raise RuntimeError("secret") from error


def _noted() -> None:
    error = ValueError("secret")
    error.add_note("secret")
    raise error


def _group() -> None:
    raise ExceptionGroup("secret", [ValueError("secret"), ExceptionGroup("secret", [KeyRefused("secret")])])


def _without_text() -> None:
    raise ValueError


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (_plain, "ValueError"),
        (_lines, f"{__name__}.KeyRefused"),
        (_chained, "RuntimeError"),
        (_noted, "ValueError"),
        (_group, "ValueError"),
        (_without_text, "ValueError"),
    ],
)
def test_type_and_frames_are_left(function: Callable[[], None], name: str) -> None:
    try:
        function()
    except Exception:  # noqa: BLE001 - of any type
        text = traceback.format_exc()
    message, shown = without_values("exception", error_message(text), text)
    assert message == f"{name}: {HIDDEN}"
    assert "secret" not in shown
    assert f", in {function.__name__}" in shown
    assert shown.splitlines()[-1] == message


@pytest.mark.parametrize("text", ["", "secret", "the secret: x", "Traceback (most recent call last):\n  secret", "\0"])
def test_what_is_no_traceback_is_hidden_whole(text: str) -> None:
    assert without_values("exception", error_message(text), text) == (HIDDEN, HIDDEN)


def test_an_exception_without_frames_keeps_its_type() -> None:
    assert without_values("exception", "ValueError: secret", "ValueError: secret") == (f"ValueError: {HIDDEN}",) * 2


@pytest.mark.parametrize("reason", ["timeout", "worker_lost", "rejected"])
def test_this_systems_own_texts_stay(reason: str) -> None:
    text = "the job was killed after 2.0 seconds: its timeout is 2 seconds"
    assert without_values(reason, text, text) == (text, text)
