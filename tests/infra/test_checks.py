"""The template and the scripts, as the tools of their trade see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.environments import Environment
from infra.template import render

ROOT = Path(__file__).parents[2]
CHECKOV = Environment("checkov", ("checkov==3.3.30",))
SCRIPTS = [*ROOT.glob("scripts/*.sh"), *ROOT.glob("infra/**/*.sh"), ROOT / ".ci/run"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is deployed."""
    path = tmp_path_factory.mktemp("template") / "template.yaml"
    path.write_text(render())
    return path


def test_cloudformation_takes_the_template(template: Path) -> None:
    done = _run("cfn-lint", str(template))
    assert done.returncode == 0, done.stdout


def test_the_template_is_as_secure_as_checkov_wants_it(template: Path) -> None:
    CHECKOV.ensure()
    done = _run(
        *(CHECKOV.program("checkov"), "--file", str(template), "--config-file", str(ROOT / "infra/checkov.yaml")),
        *("--compact", "--quiet", "--skip-download"),
    )
    assert done.returncode == 0, done.stdout


def test_the_scripts_are_clean() -> None:
    done = _run("shellcheck", "--external-sources", *map(str, SCRIPTS))
    assert done.returncode == 0, done.stdout


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).parent / program  # an absolute path stays itself
    command = [str(beside if beside.exists() else program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=180, check=False)
