"""A network partition isolates a master together with a client: no job acknowledged to that client is lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")


@pytest.mark.timeout(600)
def test_an_isolated_master_acknowledges_no_job_that_is_lost(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("hosts are network namespaces here: that takes root, ip (iproute2) and unshare (util-linux)")
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        pytest.skip("network namespaces are forbidden here")
    scenarios = [sys.executable, "-m", "tests.integration.jobqueue.isolation.isolation_scenario", str(tmp_path)]
    completed = subprocess.run([*NAMESPACES, *scenarios], capture_output=True, text=True, timeout=580)
    assert completed.returncode == 0, completed.stderr
    outcomes = [json.loads(line) for line in completed.stdout.splitlines()]
    print(*outcomes, sep="\n")  # noqa: T201 - shown if the test fails
    unreplicated, *replicated = outcomes
    assert unreplicated["lost"] > 0, "without the wait for a replica jobs must be lost, else the test shows nothing"
    assert [outcome["lost"] for outcome in replicated] == [0, 0, 0, 0, 0]
    assert all(outcome["acknowledged"] > 1000 for outcome in replicated)
    assert [outcome["replica_promoted"] for outcome in replicated[-3:]] == [True, True, True]
