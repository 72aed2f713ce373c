"""A temporary `workmanager up` for a `with` block: a child process with a data directory that is deleted afterwards."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from processes.liveness_pipe import LivenessPipe
from workmanager.errors import ServerError
from workmanager.local import ports

MANAGERS = 2
READY_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 150.0
"""Longer than `up` gives managers and workers to end."""
LOG_LINES = 20
MAX_FILE_BYTES = 64 * 1024 * 1024
"""The largest payload that a manager can be configured to accept."""


@contextlib.contextmanager
def running_system(max_workers: int) -> Iterator[list[str]]:
    """Yield the managers' URLs. If the body fails, print the end of the system's log to stderr.

    Raises:
        ServerError: the system did not become ready.
    """
    with (
        tempfile.TemporaryDirectory(prefix="workmanager-") as directory,
        contextlib.closing(LivenessPipe()) as liveness_pipe,
        (Path(directory) / "up.log").open("w+b") as log_file,
    ):
        command = [sys.executable, "-m", "workmanager", "up"]
        command += ["--port", str(ports.free_port(consecutive=MANAGERS)), "--managers", str(MANAGERS)]
        command += ["--max-workers", str(max_workers), "--data-dir", str(Path(directory) / "data")]
        command += ["--parent-fd", str(liveness_pipe.fd)]
        up = subprocess.Popen(
            command,
            cwd=directory,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            pass_fds=[liveness_pipe.fd],
            start_new_session=True,  # Ctrl-C in a terminal reaches only this process, which stops `up` in order
        )
        try:
            yield _wait_for_urls(up)
        except Exception:
            log_file.seek(0)
            last_lines = log_file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
            print("the end of the system's log:", *last_lines, sep="\n  ", file=sys.stderr)
            raise
        finally:
            _stop(up)


def _environ() -> dict[str, str]:
    """Return the environment without WORKMANAGER_ settings, which are for another system; allow large files."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
    return inherited | {"WORKMANAGER_MAX_PAYLOAD_BYTES": str(MAX_FILE_BYTES)}


def _wait_for_urls(up: subprocess.Popen[bytes]) -> list[str]:
    assert up.stdout is not None
    readable, _, _ = select.select([up.stdout], [], [], READY_TIMEOUT_SECONDS)
    words = up.stdout.readline().decode().split() if readable else []
    if words[:1] != ["ready"]:
        if readable:
            raise ServerError("`workmanager up` ended at its start (see above)")
        raise ServerError(f"`workmanager up` did not become ready within {READY_TIMEOUT_SECONDS:.0f} s (see above)")
    return words[1:]


def _stop(up: subprocess.Popen[bytes]) -> None:
    """Stop in order; pass a second Ctrl-C on, which makes `up` stop immediately."""
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    up.send_signal(signal.SIGTERM)
    while up.poll() is None:
        try:
            up.wait(max(0.0, deadline - time.monotonic()))
        except KeyboardInterrupt:
            up.send_signal(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            up.kill()
    if up.stdout is not None:
        up.stdout.close()
