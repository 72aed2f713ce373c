"""`python -m scaler.simulate` as users run it."""

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


def test_one_policy_prints_one_json_line(trace: Path, tmp_path: Path) -> None:
    done = _simulate("--trace", trace, "--policy", "workmanager", "--w", "2", "--seed", "3", folder=tmp_path)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert list(json.loads(line)) == FIELDS


def test_compare_runs_all_policies_and_draws_two_charts(trace: Path, tmp_path: Path) -> None:
    done = _simulate("--trace", trace, "--compare", "--slots", "2", folder=tmp_path)
    assert done.returncode == 0
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["policy"] for result in results] == ["workmanager", *PEERS]
    assert all(name in done.stderr for name in PEERS)
    for chart in ("front.svg", "fleet.svg"):
        root = ElementTree.parse(tmp_path / chart).getroot()
        assert root.tag.endswith("svg")
        assert root.findall(".//{*}path")
    labels = "".join(ElementTree.parse(tmp_path / "front.svg").getroot().itertext())
    assert all(name in labels for name in ("w=1", *PEERS))


def test_the_same_run_draws_the_same_charts(trace: Path, tmp_path: Path) -> None:
    charts = []
    for _ in range(2):
        assert _simulate("--trace", trace, "--compare", folder=tmp_path).returncode == 0
        charts.append([(tmp_path / name).read_bytes() for name in ("front.svg", "fleet.svg")])
    assert charts[0] == charts[1]


def test_compare_without_matplotlib_says_what_to_install(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError")  # the working directory comes first
    done = _simulate("--trace", trace, "--compare", folder=tmp_path)
    assert done.returncode == 2
    assert "pip install -r requirements-dev.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert _simulate("--trace", trace, "--policy", "workmanager", folder=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--trace", "missing.csv", "--compare"), "missing.csv"),
        (("--trace", "arrivals.csv", "--policy", "nobody's"), "nobody's"),
        (("--trace", "arrivals.csv", "--policy", "keda", "--w", "-1"), "-1"),
        (("--trace", "arrivals.csv", "--format", "azure", "--compare"), "TIMESTAMP"),
    ],
    ids=["no file", "no such policy", "a weight below 0", "another format"],
)
@pytest.mark.usefixtures("trace")
def test_a_usage_error_is_named(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    done = _simulate(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
