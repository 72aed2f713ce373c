"""Functions that print and log, in all ways."""

import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

log = logging.getLogger("app.printing")


def say(text: str) -> None:
    print(text)  # noqa: T201


def say_and_fail(text: str) -> None:
    print(text)  # noqa: T201
    raise ValueError("failure")


def write_raw(text: str) -> None:
    os.write(1, text.encode() + b"\n")
    os.write(2, text.encode() + b" on stderr")


def log_at_levels() -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "level %d", level)


def configure_logging() -> None:
    logging.basicConfig(format="own format: %(message)s", stream=sys.stdout)
    log.warning("hello")


def print_from_c(text: str) -> None:
    library = ctypes.CDLL(None)
    library.printf(b"%s\n", text.encode())
    library.printf(b"no end")


def print_from_c_and_wait(text: str, path: str) -> None:
    ctypes.CDLL(None).printf(b"%s\n", text.encode())
    print("from Python")  # noqa: T201
    Path(path).write_text("printed")
    time.sleep(60)


def run_a_program(text: str) -> None:
    subprocess.run(["sh", "-c", f"echo {text}; echo {text} >&2"], check=True)


def leave_a_program_that_prints() -> None:
    subprocess.Popen(["sh", "-c", "while :; do echo stray; done"])
    time.sleep(0.05)


def print_a_lot(mebibytes: int) -> float:
    line = b"x" * 99 + b"\n"
    block = line * 1000
    os.write(1, b"first\n")
    start = time.monotonic()
    for _ in range(mebibytes * 1024 * 1024 // len(block)):
        os.write(1, block)
    seconds = time.monotonic() - start
    print("last")  # noqa: T201
    return seconds


def close_stdout(how: str) -> str:
    print("before")  # noqa: T201
    sys.stdout.close() if how == "python" else os.close(1)
    return "result"


def print_and_die() -> None:
    print("last words")  # noqa: T201
    os.kill(os.getpid(), 9)


def print_slowly(path: str) -> None:
    print("early")  # noqa: T201
    while not Path(path).exists():
        time.sleep(0.01)
    print("late")  # noqa: T201


def print_in_a_thread(text: str) -> None:
    thread = threading.Thread(target=print, args=(text,))
    thread.start()
    thread.join()
