"""Linters for the template and the scripts: cfn-lint, checkov, shellcheck."""

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
    """The template with user data inserted."""
    path = tmp_path_factory.mktemp("template") / "template.yaml"
    path.write_text(render())
    return path


def test_cfn_lint_accepts_the_template(template: Path) -> None:
    done = _run("cfn-lint", str(template))
    assert done.returncode == 0, done.stdout


def test_cfn_lint_accepts_the_template_for_govcloud(tmp_path: Path) -> None:
    """All of its types of resources are there. It warns that nothing uses the condition of the budget."""
    path = tmp_path / "template.yaml"
    path.write_text(render("aws-us-gov"))
    done = _run(*("cfn-lint", str(path), "--regions", "us-gov-west-1", "us-gov-east-1", "--ignore-checks", "W"))
    assert done.returncode == 0, done.stdout


def test_checkov_accepts_the_template(template: Path) -> None:
    CHECKOV.ensure()
    done = _run(
        *(CHECKOV.program("checkov"), "--file", str(template), "--config-file", str(ROOT / "infra/checkov.yaml")),
        *("--compact", "--quiet", "--skip-download"),
    )
    assert done.returncode == 0, done.stdout


def test_shellcheck_accepts_the_scripts() -> None:
    done = _run("shellcheck", "--external-sources", *map(str, SCRIPTS))
    assert done.returncode == 0, done.stdout


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).parent / program  # an absolute path stays itself
    command = [str(beside if beside.exists() else program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=180, check=False)
