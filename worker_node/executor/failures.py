"""What is recorded of an exception that ended a job. Nothing here raises, whatever the exception's own code does."""

import itertools
import traceback
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from traceback import FrameSummary, TracebackException
from types import TracebackType

from jobqueue.error_message import OMISSION
from worker_node import functions
from worker_node.functions import PermanentError

MAX_TRACEBACK_CHARS = 32_768
MAX_LINE_CHARS = 8192
"""Of one frame, message or note."""
MAX_GROUP_DEPTH = 64
"""How deep exception groups are shown. Python shows 10 levels, and a note instead of the leaves below them."""
NOT_SHOWN = "an exception that cannot be shown: its own code raises"

_OWN_DIRECTORY = str(Path(__file__).parent)
_LIBRARY = Path(traceback.__file__).parent
_CALLED_BY_US = (str(_LIBRARY / "asyncio"), str(_LIBRARY / "importlib"), "<frozen importlib")


def format_traceback(error: BaseException) -> str:
    """Return the traceback from the job's function on, without frames of ours and without the middle of a huge one.

    If the exception cannot be formatted, return what can be said: as many of its parts as possible.
    """
    for describe in (_traceback, _stack_and_text, _stack_and_type):
        try:
            return printable(_joined(describe(error)))
        except BaseException:  # noqa: BLE001 - the exception's own code raises: ask it for less
            continue
    return NOT_SHOWN


def is_permanent(error: BaseException) -> bool:
    """Return whether the exception is a `PermanentError`, or a group with one."""
    remaining = [error]
    while remaining:
        current = remaining.pop()
        # Not isinstance: it would ask the exception's own `__class__`.
        if issubclass(type(current), PermanentError):
            return True
        if issubclass(type(current), BaseExceptionGroup):
            remaining += BaseExceptionGroup.exceptions.__get__(current)
    return False


def printable(text: str) -> str:
    """Return text that can be encoded as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """Return the type and the text of an exception; also of one whose `__str__` raises."""
    try:
        return printable(f"{type(error).__name__}: {error}"[:MAX_LINE_CHARS])
    except BaseException:  # noqa: BLE001 - the exception's own code
        return NOT_SHOWN


def _traceback(error: BaseException) -> Iterable[str]:
    told = TracebackException(type(error), error, _frames_of(error), compact=True, max_group_depth=MAX_GROUP_DEPTH)
    remaining: list[TracebackException | None] = [told]
    seen = set()
    while remaining:
        current = remaining.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            current.stack[:] = _without_ours(current.stack)
            _correct_syntax_error(current)
            remaining += (current.__cause__, current.__context__, *(current.exceptions or ()))
    return told.format()


def _stack_and_text(error: BaseException) -> Iterable[str]:
    return itertools.chain(_stack(error), (f"{type(error).__qualname__}: {error}\n",))


def _stack_and_type(error: BaseException) -> Iterable[str]:
    return itertools.chain(_stack(error), (f"{type(error).__name__}: <its text cannot be shown>\n",))


def _stack(error: BaseException) -> list[str]:
    frames = _without_ours(traceback.extract_tb(_frames_of(error)))
    return ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []


def _frames_of(error: BaseException) -> TracebackType | None:
    # Not `error.__traceback__`: a subclass can override it.
    frames: TracebackType | None = vars(BaseException)["__traceback__"].__get__(error)
    return frames


def _without_ours(frames: Iterable[FrameSummary]) -> list[FrameSummary]:
    """Return a stack without the executor's frames, and without library frames that the executor has called."""
    kept = []
    called_by_us = False
    for frame in frames:
        if frame.filename.startswith(_OWN_DIRECTORY):
            called_by_us = True
        elif not (called_by_us and frame.filename.startswith(_CALLED_BY_US)) and not _decodes_binary(frame):
            called_by_us = False
            kept.append(frame)
    return kept


def _decodes_binary(frame: FrameSummary) -> bool:
    return frame.filename == functions.__file__ and frame.name == "call"


def _correct_syntax_error(told: TracebackException) -> None:
    """Drop details of a SyntaxError that have the wrong type: Python cannot format those."""
    if hasattr(told, "text"):
        for name in ("text", "filename", "lineno", "end_lineno"):
            if not isinstance(getattr(told, name, None), str):
                setattr(told, name, None)
        for name in ("offset", "end_offset"):
            if not isinstance(getattr(told, name, None), int):
                setattr(told, name, None)


def _joined(chunks: Iterable[str]) -> str:
    """Join lines, without those in the middle if there are too many characters."""
    half = MAX_TRACEBACK_CHARS // 2
    head: list[str] = []
    tail: deque[str] = deque()
    head_size = tail_size = left_out = 0
    for chunk in chunks:
        text = chunk
        if len(text) > MAX_LINE_CHARS:
            cut = MAX_LINE_CHARS // 2
            text = f"{text[:cut]} {OMISSION.format(len(text) - 2 * cut)} {text[-cut:]}"
        if not tail and head_size + len(text) <= half:
            head.append(text)
            head_size += len(text)
            continue
        tail.append(text)
        tail_size += len(text)
        while tail_size > half:
            dropped = len(tail.popleft())
            tail_size -= dropped
            left_out += dropped
    if left_out:
        head.append(f"{OMISSION.format(left_out)}\n")
    return "".join((*head, *tail)).rstrip("\n")
