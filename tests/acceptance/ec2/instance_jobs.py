"""The job that the scenarios run."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path


def work(directory: str, name: str, seconds: float) -> str:
    """Takes so long, and says where it runs: as long as it does, it holds a lock on `running/HOST/NAME`.

    The lock goes with the process, however that ends. Each beginning is a line of `begun/NAME`.
    """
    place = Path(directory, "running", socket.gethostname())
    place.mkdir(mode=0o777, parents=True, exist_ok=True)
    with Path(directory, "begun", name).open("a") as begun, (place / name).open("w") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        begun.write(f"{socket.gethostname()}\n")
        begun.flush()
        # A job that a test lets go on until it says otherwise.
        gate = Path(directory, "gates", name)
        end = time.monotonic() + seconds
        while time.monotonic() < end or gate.exists():
            time.sleep(0.02)
        os.unlink(running.name)
    return name
