"""The job function that the EC2 tests run."""

import fcntl
import os
import pwd
import socket
import time
from pathlib import Path


def work(directory: str, name: str, seconds: float) -> str:
    """Run for `seconds`, and longer while the file `gates/NAME` exists.

    Holds a lock on `running/HOST/NAME` while it runs; the lock ends with the process, however that ends. Each start
    appends the host's name to `started/NAME`.
    """
    place = Path(directory, "running", socket.gethostname())
    place.mkdir(mode=0o777, parents=True, exist_ok=True)
    with Path(directory, "started", name).open("a") as started, (place / name).open("w") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        started.write(f"{socket.gethostname()}\n")
        started.flush()
        gate = Path(directory, "gates", name)
        end = time.monotonic() + seconds
        while time.monotonic() < end or gate.exists():
            time.sleep(0.02)
        os.unlink(running.name)
    return name


def look_for_secrets() -> dict[str, str]:
    """Return this process's environment variables, what it may do, and what came of reading the instance's secrets."""
    found = dict(os.environ)
    for path in (f"/proc/{os.getppid()}/environ", f"/proc/{os.getppid()}/mem", "/etc/workmanager/worker.env"):
        try:
            with open(path, "rb"):
                found[Path(path).name] = "opened"
        except OSError as error:
            found[Path(path).name] = type(error).__name__
    try:
        os.kill(os.getppid(), 0)
        found["kill"] = "sent"
    except OSError as error:
        found["kill"] = type(error).__name__
    try:
        socket.create_connection(("169.254.169.254", 80), timeout=5).close()
        found["metadata"] = "connected"
    except OSError as error:
        found["metadata"] = type(error).__name__
    rights = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Cap")]
    found["rights"] = " ".join(sorted({line.split()[1] for line in rights if not line.startswith("CapBnd")}))
    found["user"] = pwd.getpwuid(os.getuid()).pw_name
    return found
