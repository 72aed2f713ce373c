"""What `workmanager up` tells a person to try next."""

import sys
from pathlib import Path

import pytest

from workmanager.commands.up import command_to_try


@pytest.mark.parametrize(
    ("started_with", "is_found", "port", "command"),
    [
        (".venv/bin/workmanager", False, 5000, ".venv/bin/workmanager submit --function noop --wait"),
        ("/a b/workmanager", False, 5000, "'/a b/workmanager' submit --function noop --wait"),
        ("/usr/local/bin/workmanager", True, 5000, "workmanager submit --function noop --wait"),
        ("/src/workmanager/__main__.py", False, 5000, "workmanager submit --function noop --wait"),
        ("workmanager", True, 6000, "workmanager submit --function noop --wait --url http://127.0.0.1:6000"),
    ],
)
def test_the_command_to_try_can_be_pasted(
    started_with: str, is_found: bool, port: int, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if is_found:
        (tmp_path / "workmanager").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [started_with, "up"])
    assert command_to_try(port) == command
