"""What a wheel brings besides code: each file is where its program looks for it."""

import tomllib
from pathlib import Path, PurePath

from scripts.documents.share import share

ROOT = Path(__file__).parents[3]
DATA_FILES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]


def test_a_wheel_has_man_pages_and_completions() -> None:
    installed = {
        f"{directory}/{name.rpartition('/')[2]}"
        for name in share()
        for directory, (pattern,) in DATA_FILES.items()
        if PurePath(f"build/share/{name}").match(pattern)
    }
    assert installed == {f"share/{name}" for name in share()}
    assert {"share/man/man1/workmanager.1", "share/man/man1/workmanager-submit.1"} < installed
    assert "share/bash-completion/completions/workmanager" in installed
