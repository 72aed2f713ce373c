"""A benchmark as users run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.processes import running_in
from tests.waiting import until

_ROOT = Path(__file__).parents[3]


def test_a_benchmark_prints_json_lines_and_a_table_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.watched_latency", "--quick", "--runs", "1"],
        cwd=_ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["benchmark"] == "watched_latency" and line["quick"] for line in lines)
    medians = [line for line in lines if "median_of" in line]
    assert all(0 < median["p50_ms"] <= median["p99_ms"] for median in medians)
    assert [median["contestant"] for median in medians] == ["workmanager", "workmanager, events and log"]
    assert [line["aim"] for line in lines if "aim" in line] == ["p50, times that without"]
    assert "p50_ms" in done.stderr
    until(lambda: not running_in(tmp_path), wanted="the end of all servers")
    assert list(tmp_path.iterdir()) == []
