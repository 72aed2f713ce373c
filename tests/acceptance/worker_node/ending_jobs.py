"""Job functions that end at a known moment, and neighbours that keep the interpreter or take the executor down."""

import ctypes
import re
import time

from tests.acceptance.worker_node.job_functions import note

_UNTIL_KILLED_SECONDS = 60


def note_end(path: str, text: str) -> float:
    """Note the run; return the moment of the end, by the monotonic clock."""
    note(path, text)
    return time.monotonic()


def unix_time() -> float:
    """Return the moment of the end, in Unix time."""
    return time.time()


def keep_interpreter(path: str, how: str) -> list[float]:
    """Note the start, and keep the interpreter for a second or more; return the start and the end of that."""
    note(path, how)
    started = time.monotonic()
    if how == "Python loop":
        while time.monotonic() < started + 1:
            pass
    elif how == "sum":
        sum(range(60_000_000))
    elif how == "regular expression":
        re.match(r"(a+)+$", "a" * 25 + "b")
    elif how == "sort":
        sorted(_unsorted(), key=None)
    elif how == "foreign function":
        ctypes.PyDLL(None).sleep(1)
    return [started, time.monotonic()]


def keep_interpreter_until_killed(path: str) -> None:
    """Note the start. No other thread of the process runs after that."""
    note(path, "slow")
    ctypes.PyDLL(None).sleep(_UNTIL_KILLED_SECONDS)


def take_memory_until_killed(path: str) -> None:
    """Note the start, and use so much memory that the kernel kills the process."""
    note(path, "slow")
    taken = []
    while True:
        taken.append(bytes(bytearray(range(256)) * 4096))


def _unsorted() -> list[int]:
    return [number * 2_654_435_761 % 4_294_967_291 for number in range(2_500_000)]
