"""Programs under test: started, measured and ended by their process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.harness.machine import cpu_seconds
from processes import parent_death

ROOT = Path(__file__).parents[2]
_END_SECONDS = 15.0
_POLL_SECONDS = 0.005

T = TypeVar("T")


class ProgramEnded(Exception):
    """A program under test ended by itself; the message ends with what it wrote last."""


class MeasuredProgram:
    """A running program; what it prints goes to `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log
        self.pid = process.pid

    @property
    def cpu_seconds(self) -> float:
        """Of the program and of all that it started."""
        return cpu_seconds(self.pid)

    def raise_if_ended(self) -> None:
        """Raises ProgramEnded where it does not run any more."""
        code = self._process.poll()
        if code is not None:
            raise ProgramEnded(f"exit code {code}: {self.log.read_text(errors='replace')[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it, in order where it follows `how` in time."""
        if self._process.poll() is None:
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        # Its own process group, so that nothing it started is left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running_program(
    command: Sequence[str],
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Iterator[MeasuredProgram]:
    """Starts a program, and ends it with the block; it ends too when this process is killed."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            parent_death.command(list(command)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    program = MeasuredProgram(process, log)
    try:
        yield program
    finally:
        program.stop(stop_signal)


def run_to_end(command: Sequence[str], *, environ: Mapping[str, str] | None = None, seconds: float = 600.0) -> str:
    """Runs a program to its end; what it printed.

    Raises:
        ProgramEnded: with a code other than 0.
    """
    done = subprocess.run(
        parent_death.command(list(command)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise ProgramEnded(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def wait_until(
    condition: Callable[[], T],
    *,
    seconds: float,
    wanted: str,
    program: MeasuredProgram | None = None,
    poll_seconds: float = _POLL_SECONDS,
) -> T:
    """The first true value of `condition`.

    Raises:
        TimeoutError: there was none in time.
        ProgramEnded: `program` ended meanwhile.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if program is not None:
            program.raise_if_ended()
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {wanted}")
        time.sleep(poll_seconds)
    return value
