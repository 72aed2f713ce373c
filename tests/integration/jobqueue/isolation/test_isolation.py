"""A master is cut off with a client beside it: what that client was told stays true."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


@pytest.mark.timeout(600)
def test_a_cut_off_master_acknowledges_nothing_that_is_lost(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("hosts are network namespaces here: that takes root, ip (iproute2) and unshare (util-linux)")
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        pytest.skip("network namespaces are forbidden here")
    rig = [sys.executable, "-m", "tests.integration.jobqueue.isolation.isolation_scenario", str(tmp_path)]
    played = subprocess.run([*NAMESPACES, *rig], capture_output=True, text=True, timeout=580)
    assert played.returncode == 0, played.stderr
    outcomes = [json.loads(line) for line in played.stdout.splitlines()]
    print(*outcomes, sep="\n")  # noqa: T201 - shown where the test fails
    control, *confirmed = outcomes
    assert control["lost"] > 0, "the cut harms who does not wait, else it shows nothing"
    assert [outcome["lost"] for outcome in confirmed] == [0, 0, 0, 0, 0]
    assert all(outcome["acknowledged"] > 1000 for outcome in confirmed)
    assert [outcome["succeeded"] for outcome in confirmed[-3:]] == [True, True, True]
