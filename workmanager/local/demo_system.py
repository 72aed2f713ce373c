"""`workmanager up` as a child, over a directory that is gone afterwards: a whole system for as long as a `with`."""

from __future__ import annotations

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

_MANAGERS = 2
_READY_SECONDS = 90.0
_STOP_SECONDS = 150.0  # more than `up` gives to managers and workers
_LAST_LINES = 20
_LARGEST_FILE_BYTES = 64 * 1024 * 1024  # the most that a manager can be told to take


@contextlib.contextmanager
def running_system(max_workers: int) -> Iterator[list[str]]:
    """The managers' URLs. When the body fails, the system's log ends up on stderr.

    Raises:
        ServerError: it did not become ready.
    """
    with (
        tempfile.TemporaryDirectory(prefix="workmanager-") as directory,
        contextlib.closing(LivenessPipe()) as liveness_pipe,
        (Path(directory) / "up.log").open("w+b") as log_file,
    ):
        command = [sys.executable, "-m", "workmanager", "up"]
        command += ["--port", str(ports.free_port(consecutive=_MANAGERS)), "--managers", str(_MANAGERS)]
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
            start_new_session=True,  # Ctrl-C in a terminal is for this process, which ends `up` in order
        )
        try:
            yield _urls(up)
        except Exception:
            log_file.seek(0)
            last_lines = log_file.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
            print("the end of the system's log:", *last_lines, sep="\n  ", file=sys.stderr)
            raise
        finally:
            _stop(up)


def _environ() -> dict[str, str]:
    """No settings of whoever runs this, which are for another system; and room for large files."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
    return inherited | {"WORKMANAGER_MAX_PAYLOAD_BYTES": str(_LARGEST_FILE_BYTES)}


def _urls(up: subprocess.Popen[bytes]) -> list[str]:
    assert up.stdout is not None
    readable, _, _ = select.select([up.stdout], [], [], _READY_SECONDS)
    words = up.stdout.readline().decode().split() if readable else []
    if words[:1] != ["ready"]:
        raise ServerError("the system did not become ready")
    return words[1:]


def _stop(up: subprocess.Popen[bytes]) -> None:
    """In order; an impatient second Ctrl-C is passed on."""
    deadline = time.monotonic() + _STOP_SECONDS
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
