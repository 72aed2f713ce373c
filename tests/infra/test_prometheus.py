"""Prometheus' rules and Grafana's dashboard: well-formed, tested, and made of metrics that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "infra/prometheus"
DASHBOARD = ROOT / "infra/grafana/workmanager.json"

OTHER_TESTS = "managers in turn: "
"""How the names of tests begin in which no fault is made."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (package prometheus) is missing")


def read(name: str) -> Any:
    return yaml.safe_load((RULES / name).read_text())


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in read(name)["groups"] for rule in group["rules"]]


def queries() -> Iterator[str]:
    """All expressions of the rules and the dashboard."""
    yield from (rule["expr"] for name in ("recording.yml", "alerts.yml") for rule in rules(name))
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "recording.yml", "alerts.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "tests.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_rules_and_their_tests_pass(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_before_in_and_after_its_fault_and_says_what_is_wrong() -> None:
    tested = {
        one["name"]: [bool(case.get("exp_alerts")) for case in one["alert_rule_test"]]
        for one in read("tests.yml")["tests"]
        if not one["name"].startswith(OTHER_TESTS)
    }
    alerts = rules("alerts.yml")
    assert tested == {rule["alert"]: [False, True, False] for rule in alerts}
    assert all(rule["annotations"]["summary"] for rule in alerts)
    assert {rule["labels"]["severity"] for rule in alerts} == {"page", "ticket"}


def test_each_alert_is_shown_with_a_running_system() -> None:
    source = (ROOT / "tests/acceptance/manager/prometheus_alerts.py").read_text()
    assert [rule["alert"] for rule in rules("alerts.yml") if f'"{rule["alert"]}"' not in source] == []


def test_rules_and_dashboard_ask_for_metrics_and_rules_that_exist() -> None:
    documented = set(re.findall(r"^\| `(workmanager_\w+)`", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE))
    recorded = {rule["record"] for rule in rules("recording.yml")}
    for query in queries():
        for name in re.findall(r"workmanager[:_][\w:]+", query):
            plain = re.sub(r"_(total|bucket|count|sum)$", "", name)
            assert name in documented | recorded or plain in documented, f"{name} in {query}"
