"""A short set of faults under load: nothing acknowledged is lost, and everything recovers by itself.

The whole catalogue, and a mix of it by chance: `python -m tests.acceptance.faults`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RESUME_SECONDS = 10.0
CUT_SECONDS = 14.0
"""Who is silent instead of gone is found out by timeouts; see docs/faults.md."""
LASTING_SECONDS = 6
SILENT = {"link cut", "master stopped"}
# While these last, no write is taken, so that the time without writes says nothing.
STOPS_WRITES = {"memory full", "power cut"}


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts are network namespaces, which needs root")
@pytest.mark.skipif(shutil.which("ip") is None or shutil.which("unshare") is None, reason="needs iproute2 and unshare")
@pytest.mark.parametrize(
    "faults",
    [
        "agent killed,master stopped,hosts lost in turn,managers restarted",
        "link cut,memory full,connections reset,power cut",
    ],
)
def test_nothing_acknowledged_is_lost(faults: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "tests.acceptance.faults", "--faults", faults),
            *("--lasting", str(LASTING_SECONDS), "--directory", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    *reports, summary = (json.loads(line) for line in run.stdout.splitlines())
    assert (summary["lost"], summary["doubled"], summary["wrong"], summary["recovered"]) == (0, 0, 0, True), run.stdout
    assert run.returncode == 0
    assert summary["acknowledged"] > 100
    assert [report["fault"] for report in reports] == faults.split(",")
    for report in reports:
        allowed = CUT_SECONDS if report["fault"] in SILENT else RESUME_SECONDS
        assert report["fault"] in STOPS_WRITES or report["without_writes_seconds"] <= allowed, report
        assert report["fault"] != "managers restarted" or report["most_attempts"] <= 2, report
