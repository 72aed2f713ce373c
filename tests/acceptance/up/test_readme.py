"""The README's examples, run as a reader pastes them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.sha512 import sha512
from tests.workmanager_up import WorkmanagerUp

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"

pytestmark = pytest.mark.timeout(300)


def _example(heading: str, language: str, containing: str) -> str:
    """The code block of a section that contains a text."""
    _, _, section = README.read_text().partition(f"\n## {heading}\n")
    blocks = re.findall(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    (block,) = [block for block in blocks if containing in block]
    return str(block)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    """The system with the example's function, in a directory that holds the README."""
    run = WorkmanagerUp(tmp_path / "run")
    shutil.copy(README, run.directory)
    functions = run.directory / "functions"
    functions.mkdir()
    (functions / "texts.py").write_text(_example("Your own functions", "python", "def most_common"))
    # As in the README; the tests add the repository, which a reader has as the working directory.
    search_path = os.pathsep.join(("functions", str(ROOT)))
    try:
        run.start("--max-workers", "1", environ={"PYTHONPATH": search_path, "WORKMANAGER_FUNCTIONS": "texts"})
        run.wait_until_ready()
        yield run
    finally:
        run.kill_all()


def _paste(example: str, up: WorkmanagerUp) -> list[str]:
    """Run an example against the system, and return the lines it prints."""
    for number in range(2):
        example = example.replace(f"http://127.0.0.1:{5000 + number}", up.urls[number])
    command = f"set -e; export no_proxy=127.0.0.1\n{example}"
    done = subprocess.run(["bash", "-c", command], cwd=up.directory, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_quick_start_prints_the_files_hash(up: WorkmanagerUp) -> None:
    enqueued, pulled = map(json.loads, _paste(_example("Quick start", "sh", "curl"), up))
    assert pulled == [{"Work ID": enqueued["Work ID"], "Value": sha512(README.read_bytes(), 1000)}]


def test_the_example_of_a_function_prints_the_documented_value(up: WorkmanagerUp) -> None:
    example = _example("Your own functions", "sh", "curl")
    submitted, pulled = map(json.loads, _paste(example, up))
    documented = json.loads(example.splitlines()[-1].removeprefix("# "))
    assert pulled == [{"Work ID": submitted["id"], "Value": documented[0]["Value"]}]
