"""The examples of docs/dependencies.md, run as a reader does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.up.pages import ROOT, example
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp

PAGE = ROOT / "docs/dependencies.md"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkmanagerUp]:
    up = WorkmanagerUp(tmp_path_factory.mktemp("system") / "run")
    up.start("--max-workers", "1")
    up.wait_until_ready()
    yield up
    up.kill_all()


def run(system: WorkmanagerUp, script: str, directory: Path) -> str:
    """Run a shell script of the page, and return what it prints."""
    program = directory / ".venv/bin/workmanager"
    if not program.exists():
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m workmanager "$@"\n')
        program.chmod(0o755)
    environ = {**os.environ, "WORKMANAGER_URL": ",".join(system.urls)}
    command = ["bash", "-e", "-c", script]
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_jobs_of_the_command_line_wait_for_each_other(system: WorkmanagerUp, tmp_path: Path) -> None:
    example_of_dependencies = PAGE.read_text().partition("```sh\n")[2].partition("```")[0]
    output = run(system, example_of_dependencies, tmp_path)
    assert "finished" in output


def test_the_workflow_of_the_page_runs_in_order(system: WorkmanagerUp, tmp_path: Path) -> None:
    (tmp_path / "workflow.json").write_text(example(PAGE, "Workflows", "json"))
    submit, show = example(PAGE, "Workflows", "sh").splitlines()
    submitted = json.loads(run(system, f"{submit} --json", tmp_path))
    shown = show.replace(" ID", f" {submitted['id']}")
    until(lambda: json.loads(run(system, f"{shown} --json", tmp_path))["status"] == "finished")
    lines = run(system, shown, tmp_path).splitlines()
    assert ["join", "finished", submitted["jobs"]["join"], "left,", "right"] in [line.split() for line in lines]
