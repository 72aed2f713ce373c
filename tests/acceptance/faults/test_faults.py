"""A short set of faults under load: nothing acknowledged is lost, and everything recovers by itself.

The whole catalogue, and a mix of it by chance: `python -m tests.acceptance.faults`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.faults.resource_faults import faketime_library
from tests.processes import running_in

RESUME_SECONDS = 10.0
"""Until each shard has acknowledged a write of these clients again, on a machine that has other work beside it: the
failover or the loss of a replica, what has to be found out by timeouts, and who of the clients is stuck with a manager
that does not answer (docs/faults.md has the usual times)."""
LASTING_SECONDS = 6
# While these last, no write is taken, so that the time without writes says nothing.
STOPS_WRITES = {"memory full", "disk full", "power cut"}


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts are network namespaces, which needs root")
@pytest.mark.skipif(shutil.which("ip") is None or shutil.which("unshare") is None, reason="needs iproute2 and unshare")
@pytest.mark.parametrize(
    "faults",
    [
        "agent killed,executor stopped,master stopped,manager stopped,hosts lost in turn,managers restarted",
        "link cut,sending cut,memory full,disk full,connections reset,power cut",
    ],
)
def test_nothing_acknowledged_is_lost(faults: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "tests.acceptance.faults", "--faults", faults),
            *("--lasting", str(LASTING_SECONDS), "--resume", str(RESUME_SECONDS), "--directory", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    *reports, summary = (json.loads(line) for line in run.stdout.splitlines())
    assert (summary["lost"], summary["doubled"], summary["wrong"], summary["recovered"]) == (0, 0, 0, True), run.stdout
    assert run.returncode == 0, summary["complaints"]
    assert summary["acknowledged"] > 100
    assert [report["fault"] for report in reports] == faults.split(",")
    for report in reports:
        assert report["fault"] in STOPS_WRITES or report["without_writes_seconds"] <= RESUME_SECONDS, report
        assert report["fault"] != "managers restarted" or report["most_attempts"] <= 2, report


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts are network namespaces, which needs root")
@pytest.mark.skipif(faketime_library() is None, reason="needs Debian's libfaketime")
def test_a_run_that_is_interrupted_tells_what_it_did_and_leaves_nothing(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.faults", "--steps", "3", "--seed", "106"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    first = json.loads(run.stdout.readline())
    os.killpg(run.pid, signal.SIGINT)
    summary = json.loads(run.communicate(timeout=180)[0].splitlines()[-1])
    assert run.returncode == 130
    assert (summary["interrupted"], summary["faults"], list(summary["by_fault"])) == (True, 1, [first["fault"]])
    assert (summary["lost"], summary["complaints"]) == (0, [])
    assert list(tmp_path.iterdir()) == []
    assert running_in(tmp_path) == []
