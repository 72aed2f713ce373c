"""`python -m scaler.simulate` as its users run it."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from scaler.simulation.peers import PEERS
from scaler.simulation.trace import write_trace
from tests.acceptance.simulate.arrival_patterns import poisson

FIELDS = [
    *("policy", "paid_s", "cost_per_work", "cost_per_c0", "wait_mean_s", "wait_p50_s", "wait_p95_s", "wait_p99_s"),
    *("slo_missed", "peak", "launches", "objective"),
]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "arrivals.csv"
    write_trace(path, poisson(1, seconds=1800, rate=0.5, service=5.0))
    return path


def _simulate(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scaler.simulate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, cwd=folder)


def test_one_policy_is_one_line(trace: Path, tmp_path: Path) -> None:
    done = _simulate("--trace", trace, "--policy", "workmanager", "--w", "2", "--seed", "3", folder=tmp_path)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert list(json.loads(line)) == FIELDS


def test_comparing_runs_all_and_draws_two_pictures(trace: Path, tmp_path: Path) -> None:
    done = _simulate("--trace", trace, "--compare", "--slots", "2", folder=tmp_path)
    assert done.returncode == 0
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["policy"] for result in results] == ["workmanager", *PEERS]
    assert all(name in done.stderr for name in PEERS)
    for picture in ("front.svg", "fleet.svg"):
        root = ElementTree.parse(tmp_path / picture).getroot()
        assert root.tag.endswith("svg")
        assert root.findall(".//{*}polyline")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--trace", "missing.csv", "--compare"), "missing.csv"),
        (("--trace", "arrivals.csv", "--policy", "nobody's"), "nobody's"),
        (("--trace", "arrivals.csv", "--policy", "keda", "--w", "-1"), "-1"),
        (("--trace", "arrivals.csv", "--format", "azure", "--compare"), "TIMESTAMP"),
    ],
    ids=["no file", "no such policy", "a weight below 0", "another format"],
)
@pytest.mark.usefixtures("trace")
def test_a_wrong_call_says_what_is_wrong(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = _simulate(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
