"""What `workmanager up` tells a person to try next."""

import sys
from pathlib import Path

import pytest

from workmanager.commands.up import program_name


@pytest.mark.parametrize(
    ("started_with", "is_found", "named"),
    [
        (".venv/bin/workmanager", False, ".venv/bin/workmanager"),
        ("/usr/local/bin/workmanager", True, "workmanager"),
        ("/src/workmanager/__main__.py", False, "workmanager"),
    ],
)
def test_the_command_to_try_is_one_that_the_shell_finds(
    started_with: str, is_found: bool, named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if is_found:
        (tmp_path / "workmanager").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [started_with, "up"])
    assert program_name() == named
