"""Errors of jobs whose arguments are hidden: the text of an exception often has values of them.

Left are the exception's type, and where it was raised: file, line and function of each frame.
"""

import re

from jobqueue.inspection.arguments import HIDDEN
from jobqueue.model import FailureReason

_FRAME = re.compile(r'[ |+]*File "[^"]*", line \d+, in [\w.<>]+')
_TYPE = re.compile(r"[^\W\d][\w.]*(?=: |$)")
_TYPE_WITH_TEXT = re.compile(r"[^\W\d][\w.]*(?=: )")


def without_values(reason: str, message: str, traceback: str) -> tuple[str, str]:
    """Return message and traceback without the text of exceptions and without source lines.

    What is not an exception of the function is a text of this system, and stays.
    """
    if reason != FailureReason.EXCEPTION:
        return message, traceback
    frames = [line for line in traceback.splitlines() if _FRAME.fullmatch(line)]
    # Without frames, a single word can be anything.
    name = (_TYPE if frames else _TYPE_WITH_TEXT).match(message.partition("\n")[0])
    shown = f"{name[0]}: {HIDDEN}" if name else HIDDEN
    return shown, "\n".join([*frames, shown])
