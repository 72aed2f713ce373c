"""`scripts/demo.sh` as a user runs it, and as a script runs it in the background."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.processes import running_in
from tests.waiting import until
from workmanager.demo import WHAT_NEXT

pytestmark = pytest.mark.timeout(600)

DEMO = Path(__file__).parents[3] / "scripts" / "demo.sh"


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """TMPDIR of the demo. After the test no process may run in it."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    yield directory
    until(lambda: not running_in(directory), wanted="the end of all processes")


def _start(temporary: Path, *arguments: str | Path, sigint: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
    """Start the demo with this disposition of SIGINT, whatever pytest itself was started with.

    A child inherits an ignored SIGINT, and shells start background commands so: `pytest &`, `demo.sh &`.
    """
    return subprocess.Popen(
        [DEMO, *arguments],
        cwd=temporary.parent,
        env={**os.environ, "TMPDIR": str(temporary), "WORKMANAGER_REDIS_URL": "redis://127.0.0.1:1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, sigint),
    )


def _wait_until_submitted(process: subprocess.Popen[str]) -> None:
    output = process.stdout
    assert output is not None
    until(lambda: "files are submitted" in output.readline())


def _files(directory: Path, count: int) -> list[Path]:
    files = [directory / f"file {number}" for number in range(count)]
    for number, path in enumerate(files):
        path.write_bytes(os.urandom(number * 1_000))
    return files


def test_given_files_are_hashed_checked_and_counted(tmp_path: Path, temporary: Path) -> None:
    names = [path.name for path in _files(tmp_path, 20)]
    process = _start(temporary, *names)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert lines[-1] == "20 of 20 jobs completed"
    assert any("workers" in line and " 0 workers" not in line for line in lines), "no worker was seen"
    assert any("all workers have left" in line for line in lines)
    assert re.search(r"^the dashboard, as long as the demo runs: http://127.0.0.1:\d+/$", output, re.MULTILINE)
    assert errors.endswith(WHAT_NEXT)
    assert running_in(temporary) == []
    assert list(temporary.iterdir()) == []


def test_without_files_it_hashes_those_of_the_repository(temporary: Path) -> None:
    process = _start(temporary, "--iterations", "1000")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    done, total = output.splitlines()[-1].removesuffix(" jobs completed").split(" of ")
    assert int(done) == int(total) > 50


@pytest.mark.parametrize(
    ("number", "sigint"),
    [(signal.SIGINT, signal.SIG_DFL), (signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, signal.SIG_DFL)],
    ids=["SIGINT", "SIGINT that was ignored at the start", "SIGTERM"],
)
def test_interrupted_it_leaves_nothing(
    tmp_path: Path, temporary: Path, number: signal.Signals, sigint: signal.Handlers
) -> None:
    process = _start(temporary, "--iterations", "1000000", *_files(tmp_path, 20), sigint=sigint)
    _wait_until_submitted(process)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "demo: interrupted"
    assert running_in(temporary) == []
    assert list(temporary.iterdir()) == []


def test_killed_it_leaves_no_process(tmp_path: Path, temporary: Path) -> None:
    process = _start(temporary, "--iterations", "1000000", *_files(tmp_path, 20))
    _wait_until_submitted(process)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("argument", ["missing", "temporary"])
def test_a_wrong_file_name_is_reported_before_anything_starts(temporary: Path, argument: str) -> None:
    process = _start(temporary, argument)
    output, errors = process.communicate()
    assert (process.returncode, output) == (2, "")
    assert errors == f"demo: {argument} is not a file\n"


def test_what_to_try_next_is_there() -> None:
    named = re.findall(r"^  (\S+)", WHAT_NEXT, re.MULTILINE)
    assert named == [".venv/bin/workmanager", "docs/tutorial.md", ".venv/bin/workmanager"]
    assert (DEMO.parents[1] / "docs/tutorial.md").exists()
