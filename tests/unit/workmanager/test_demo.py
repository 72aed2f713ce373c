"""Failures of the demo, which a healthy system never shows. Its success is an acceptance test."""

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager import demo

IDLE = Answer({"Workers": 0})


def _make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


@pytest.mark.parametrize("with_git", [True, False])
def test_the_repository_files_are_those_that_people_wrote(tmp_path: Path, with_git: bool) -> None:
    _make(tmp_path, "README.md", "package/module.py", ".venv/lib/made.py", "package/__pycache__/made.pyc")
    if with_git:
        (tmp_path / ".gitignore").write_text(".venv/\n__pycache__/\n.gitignore\n")
        subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
        subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    names = [str(path.relative_to(tmp_path)) for path in demo.repository_files(tmp_path)]
    assert names == ["README.md", "package/module.py"]


def _run(monkeypatch: pytest.MonkeyPatch, path: Path, *answers: Answer) -> int:
    """Run the demo with one file; its manager accepts it and then gives these answers. Return the exit code."""
    script = [Answer({"Work ID": "x"}), *answers, IDLE]

    @contextlib.contextmanager
    def system(max_workers: int) -> Iterator[list[str]]:
        with ScriptedManager(*script) as manager:
            yield [manager.url]

    monkeypatch.setattr(demo, "running_system", system)
    return demo.main([str(path), "--iterations", "2"])


@pytest.mark.parametrize(("digest", "code", "right"), [("right", 0, 1), ("wrong", 1, 0)])
def test_a_value_counts_only_when_it_is_right(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    digest: str,
    code: int,
    right: int,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    value = hashlib.sha512(hashlib.sha512(b"data").digest()).hexdigest() if digest == "right" else "00"
    pulled = Answer([{"Work ID": "x", "Value": value}])
    assert _run(monkeypatch, path, Answer([]), IDLE, Answer({"jobs": [], "cursor": None}), pulled) == code
    output, errors = capsys.readouterr()
    assert output.splitlines()[-1] == f"{right} of 1 jobs completed"
    assert errors == (demo.WHAT_NEXT if right else "demo: wrong value for x: 00\n")


def test_a_failed_job_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    failed = Answer({"jobs": [{"id": "x", "error": {"reason": "timeout"}}], "cursor": None})
    assert _run(monkeypatch, path, Answer([]), IDLE, failed) == 1
    assert capsys.readouterr().err == "demo: job x failed: {'reason': 'timeout'}\n"
