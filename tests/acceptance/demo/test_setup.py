"""The virtual environment that the scripts share: made once, completely, by one script at a time."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

VENV_SCRIPT = Path(__file__).parents[3] / "scripts" / "_venv.sh"
PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "small"
version = "1"
[tool.setuptools]
packages = []
"""
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
TOOLS = ("bash", "dirname", "cat", "cksum", "mkdir", "flock", "find", "rm")


class Project:
    """A project with as little to install as possible."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "scripts").mkdir(parents=True)
        shutil.copy(VENV_SCRIPT, root / "scripts")
        (root / "pyproject.toml").write_text(PYPROJECT)
        (root / "requirements.txt").write_text("six==1.17.0\n")
        (root / "requirements-dev.txt").write_text("-r requirements.txt\niniconfig==2.3.1\n")

    def start(self, purpose: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        script = f'set -euo pipefail; . scripts/_venv.sh; set_up {purpose}; "$python" -m pip list --format freeze'
        return subprocess.Popen(
            [shutil.which("bash") or "bash", "-c", script],
            cwd=self.root,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def set_up(self, purpose: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, list[str]]:
        """Return the exit code, the installed packages, and the messages of the set-up."""
        process = self.start(purpose, environ)
        output, errors = process.communicate(timeout=240)
        messages = [line for line in errors.splitlines() if line.startswith("setup:")]
        return process.returncode, output, messages


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.mark.timeout(600)
def test_an_environment_is_made_once_and_then_used_without_the_network(project: Project) -> None:
    both = [project.start("run"), project.start("run")]
    ends = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert all("six==1.17.0" in output for output, _ in ends)
    assert sum(errors.count("setup: creating .venv") for _, errors in ends) == 1
    assert sum(errors.count("setup: installing requirements.txt") for _, errors in ends) == 1
    code, packages, messages = project.set_up("run", OFFLINE)
    assert (code, messages) == (0, [])
    assert "iniconfig" not in packages

    code, packages, messages = project.set_up("dev")
    assert (code, messages) == (0, ["setup: installing requirements-dev.txt"])
    assert "iniconfig==2.3.1" in packages
    assert project.set_up("run", OFFLINE)[2] == []

    (project.root / "requirements.txt").write_text("six==1.17.0\nsortedcontainers==2.4.0\n")
    code, _, messages = project.set_up("run", OFFLINE)
    assert code == 1
    assert messages[-1] == "setup: error: could not install requirements.txt (see above)"
    code, packages, _ = project.set_up("run")
    assert code == 0
    assert "sortedcontainers==2.4.0" in packages


def _tools(directory: Path, stubs: Mapping[str, str]) -> dict[str, str]:
    """Return a PATH of the tools that every system has, and of stubs for the machine's own programs."""
    directory.mkdir()
    for name in TOOLS:
        (directory / name).symlink_to(shutil.which(name) or name)
    for name, text in stubs.items():
        (directory / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (directory / name).chmod(0o755)
    return {"PATH": str(directory)}


BARE_PYTHON = f"""
if [ "$2" = pip ]; then exit 1; fi
if [ "$2" = 'import ensurepip' ] && [ ! -e "$0.has-ensurepip" ]; then exit 1; fi
exec {sys.executable} "$@"
"""


def test_a_missing_python_is_reported(project: Project, tmp_path: Path) -> None:
    code, _, messages = project.set_up("run", _tools(tmp_path / "bin", {"python3": "exit 1"}))
    assert code == 1
    assert messages == ["setup: error: Python 3.11 or newer is required, and not found on the PATH"]


def test_a_user_whose_python_lacks_venv_learns_what_to_install(project: Project, tmp_path: Path) -> None:
    stubs = {"python3": BARE_PYTHON, "id": "echo 1000", "apt-get": "exit 1"}
    code, _, messages = project.set_up("run", _tools(tmp_path / "bin", stubs))
    assert code == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert messages[-1].endswith(f"install its venv package (Debian, Ubuntu: apt-get install python{version}-venv)")


def test_a_python_without_pip_brings_its_own(project: Project, tmp_path: Path) -> None:
    (project.root / "requirements.txt").write_text("")
    environ = _tools(tmp_path / "bin", {"python3": BARE_PYTHON})
    (tmp_path / "bin" / "python3.has-ensurepip").touch()
    code, packages, messages = project.set_up("run", environ)
    assert code == 0, messages
    assert "small" in packages


def test_as_root_the_missing_venv_package_is_installed(project: Project, tmp_path: Path) -> None:
    apt_get = f'echo "$@" >>"{tmp_path}/calls"; : >"{tmp_path}/bin/python3.has-ensurepip"; [ "$1" = update ]'
    stubs = {"python3": BARE_PYTHON, "id": "echo 0", "apt-get": apt_get}
    code, _, messages = project.set_up("run", _tools(tmp_path / "bin", stubs))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (tmp_path / "calls").read_text().splitlines() == ["update -qq", f"install -y -qq python{version}-venv"]
    assert code == 1  # this apt-get fails in the end, as it would without a network
    assert "could not install" in messages[-1]
