"""Child processes under test: started, measured and stopped by their process id."""

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
_STOP_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.005

T = TypeVar("T")


class ProgramEnded(Exception):
    """A program under test ended unexpectedly. The message ends with the end of its output."""


class MeasuredProgram:
    """A running program. Its output goes to `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log
        self.pid = process.pid

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the program and its descendants."""
        return cpu_seconds(self.pid)

    @property
    def own_cpu_seconds(self) -> float:
        """Processor time of the program alone, to the nanosecond."""
        # The clock of a process, as clock_getcpuclockid(3) computes it.
        return time.clock_gettime((~self.pid << 3) | 2)

    def raise_if_ended(self) -> None:
        """Raise ProgramEnded if the program has ended."""
        code = self._process.poll()
        if code is not None:
            raise ProgramEnded(f"exit code {code}: {self.log.read_text(errors='replace')[-2000:]}")

    def stop(self, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        """Stop the program with this signal; kill it if it does not end in time."""
        if self._process.poll() is None:
            self._process.send_signal(stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_SECONDS)
        # The program leads a process group, so its descendants end too.
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
    """Run a program for the duration of the block. It also ends if this process is killed."""
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
    """Run a program to its end and return its output.

    Raises:
        ProgramEnded: the exit code was not 0.
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
    """Poll `condition` and return its first true value.

    Raises:
        TimeoutError: the condition stayed false.
        ProgramEnded: `program` ended first.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if program is not None:
            program.raise_if_ended()
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {seconds} s waiting for {wanted}")
        time.sleep(poll_seconds)
    return value
