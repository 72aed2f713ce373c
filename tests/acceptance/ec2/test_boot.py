"""From a worker's first line at boot to its first job's value, where no package index is within reach."""

from __future__ import annotations

import re
import socket
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.acceptance.ec2.conftest import StartSystem
from tests.ec2.network import in_network_of

BOOT_SECONDS = 30.0


def test_a_worker_does_its_first_job_soon_after_its_boot_began_and_asks_no_index(start: StartSystem) -> None:
    system = start(MIN_WORKERS="1", MAX_WORKERS="1")
    system.submit(1, 0.0)
    system.wait_until_done()
    (machine,) = system.cloud.machines.all().values()
    (job,) = system.get_json("/jobs")["jobs"]
    ended = datetime.fromisoformat(job["ended_at"]).timestamp()
    machine_on = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    steps = re.findall(r"event=worker_boot step=(\w+) uptime_seconds=([\d.]+)", machine.console)
    assert [step for step, _ in steps] == ["began", "unpacked", "runtime_ready", "worker_started"]
    seconds = ended - machine_on - float(steps[0][1])
    print(f"first job {seconds:.1f} s after the boot began")  # noqa: T201  # shown by pytest -s
    assert 0 < seconds <= BOOT_SECONDS
    # Whatever it booted from, came from the cloud: there is no way to anywhere else.
    with in_network_of(machine.pid), pytest.raises(OSError, match=r"unreachable|timed out"):
        socket.create_connection(("192.0.2.1", 443), timeout=5)
