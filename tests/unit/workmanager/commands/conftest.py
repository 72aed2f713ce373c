"""Run `workmanager` in the test's process."""

import sys

import pytest

from workmanager.__main__ import main


class Run:
    """Runs `workmanager` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        self._monkeypatch.setattr(sys, "argv", ["workmanager", *arguments])
        code = main()
        return code, *self._capsys.readouterr()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.delenv("WORKMANAGER_URL", raising=False)
    monkeypatch.delenv("WORKMANAGER_API_KEY", raising=False)
    return Run(monkeypatch, capsys)
