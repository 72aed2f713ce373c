"""A short set of faults under load: no acknowledged job is lost, and the system recovers automatically.

For the whole catalogue and random runs: `python -m tests.acceptance.faults`.
"""

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

MAX_SILENCE_SECONDS = 10.0
"""Longest pause until each shard acknowledges a write again, on a busy machine: it includes a failover or the loss of a
replica, timeouts, and clients that wait for an unresponsive manager (docs/faults.md has the usual times)."""
FAULT_SECONDS = 6
# These faults block all writes while they last, so the time without writes has no limit.
BLOCKS_WRITES = {"memory full", "disk full", "power cut"}


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts are network namespaces, which needs root")
@pytest.mark.skipif(shutil.which("ip") is None or shutil.which("unshare") is None, reason="needs iproute2 and unshare")
@pytest.mark.parametrize(
    "faults",
    [
        "agent killed,executor stopped,master stopped,manager stopped,hosts lost in turn,managers restarted",
        "link cut,sending cut,memory full,disk full,connections reset,power cut",
    ],
)
def test_no_acknowledged_job_is_lost(faults: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "tests.acceptance.faults", "--faults", faults),
            *("--lasting", str(FAULT_SECONDS), "--resume", str(MAX_SILENCE_SECONDS), "--directory", str(tmp_path)),
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
    assert summary["schedule_instants"] > 20
    assert summary["callbacks"] > summary["family_jobs"] > 40
    assert [report["fault"] for report in reports] == faults.split(",")
    for report in reports:
        assert report["fault"] in BLOCKS_WRITES or report["without_writes_seconds"] <= MAX_SILENCE_SECONDS, report
        assert report["fault"] != "managers restarted" or report["most_attempts"] <= 2, report


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts are network namespaces, which needs root")
@pytest.mark.skipif(faketime_library() is None, reason="needs Debian's libfaketime")
def test_an_interrupted_run_reports_its_results_and_leaves_nothing(tmp_path: Path) -> None:
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
