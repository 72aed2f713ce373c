"""`scripts/demo.sh` as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import running_in
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)

_DEMO = Path(__file__).parents[3] / "scripts" / "demo.sh"


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where a demo keeps what it makes; nothing may be left there, or running there."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    yield directory
    until(lambda: not running_in(directory), wanted="the end of all processes")


def _begin(temporary: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [_DEMO, *arguments],
        cwd=temporary.parent,
        env={**os.environ, "TMPDIR": str(temporary), "WORKMANAGER_REDIS_URL": "redis://127.0.0.1:1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _files(directory: Path, count: int) -> list[Path]:
    files = [directory / f"file {number}" for number in range(count)]
    for number, path in enumerate(files):
        path.write_bytes(os.urandom(number * 1_000))
    return files


def test_the_given_files_are_hashed_checked_and_counted(tmp_path: Path, temporary: Path) -> None:
    names = [path.name for path in _files(tmp_path, 20)]
    process = _begin(temporary, *names)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert lines[-1] == "20 of 20 jobs completed"
    assert any("workers" in line and " 0 workers" not in line for line in lines), "no worker was seen"
    assert any("all workers have left" in line for line in lines)
    assert running_in(temporary) == []
    assert list(temporary.iterdir()) == []


def test_without_files_it_takes_the_repositorys_own(temporary: Path) -> None:
    process = _begin(temporary, "--iterations", "1000")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    done, total = output.splitlines()[-1].removesuffix(" jobs completed").split(" of ")
    assert int(done) == int(total) > 50


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_interrupted_it_leaves_nothing(tmp_path: Path, temporary: Path, number: signal.Signals, code: int) -> None:
    process = _begin(temporary, "--iterations", "1000000", *_files(tmp_path, 20))
    assert process.stdout is not None
    until(lambda: "files are in" in process.stdout.readline())  # type: ignore[union-attr]
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code
    assert errors.splitlines()[-1] == "demo: interrupted"
    assert running_in(temporary) == []
    assert list(temporary.iterdir()) == []


def test_killed_it_leaves_no_process(tmp_path: Path, temporary: Path) -> None:
    process = _begin(temporary, "--iterations", "1000000", *_files(tmp_path, 20))
    assert process.stdout is not None
    until(lambda: "files are in" in process.stdout.readline())  # type: ignore[union-attr]
    process.kill()
    process.communicate()


@pytest.mark.parametrize("argument", ["missing", "temporary"])
def test_what_is_no_file_is_told_before_anything_starts(temporary: Path, argument: str) -> None:
    process = _begin(temporary, argument)
    output, errors = process.communicate()
    assert (process.returncode, output) == (2, "")
    assert errors == f"demo: {argument} is no file\n"
