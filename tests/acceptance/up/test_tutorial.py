"""The tutorial, followed step by step as a reader does. Its first step is what tests/acceptance/demo runs."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.acceptance.up.pages import ROOT, ReadersSystem, example
from tests.code_blocks import code_blocks, commands
from tests.waiting import until
from workmanager.client import Client

PAGE = ROOT / "docs/tutorial.md"
FUNCTION, START, RUN, ERROR = "2. Write a function", "3. Start the system", "4. Run it", "5. See an error, and mend it"
SCALE, SCHEDULE, PROGRAM = "6. Let workers come and go", "7. Put it on a schedule", "8. Use it from a program"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadersSystem]:
    system = ReadersSystem(tmp_path_factory.mktemp("tutorial") / "run", {"primes": (PAGE, FUNCTION)})
    (start,) = commands(example(PAGE, START, "sh"))
    assert start.words[:2] == [".venv/bin/workmanager", "up"]
    try:
        system.start(*start.words[2:])
        system.up.wait_until_ready()
        yield system
    finally:
        system.up.kill_all()


@pytest.fixture
def client(system: ReadersSystem) -> Iterator[Client]:
    with Client(system.up.urls) as client:
        yield client


def test_a_function_runs_from_the_command_line_and_over_http(system: ReadersSystem) -> None:
    assert _field(system.run(example(PAGE, RUN, "sh", "submit")), "result") == "168"
    submitted, ended = map(json.loads, system.run(example(PAGE, RUN, "sh", "curl")))
    assert (submitted["id"], ended["status"], ended["result"]) == ("first-hundred", "finished", 25)


def test_an_error_is_shown_and_an_edit_mends_it(system: ReadersSystem, client: Client) -> None:
    expected = ("the next one is due", "TypeError", "counting primes below many")
    # On a busy machine, the first attempt takes longer than the page waits. To submit the same job again is harmless.
    until(lambda: _has(system.run(example(PAGE, ERROR, "sh", "explain")), expected), wanted="a failed attempt")
    (system.directory / "functions/primes.py").write_text(example(PAGE, ERROR, "python"))
    assert _field(system.run(example(PAGE, ERROR, "sh", "cancel")), "result") == "168"
    assert client.job("stubborn")["status"] == "canceled"


def test_workers_come_as_jobs_do(system: ReadersSystem) -> None:
    lines = system.run(example(PAGE, SCALE, "sh"))
    assert len([line for line in lines if re.fullmatch("[0-9a-f]{32}", line)]) == 9
    assert len([line for line in lines if re.match(r"[0-9a-f]{32}-\d+ ", line)]) == 3
    assert any("LAUNCH" in line for line in lines)


def test_a_schedule_fires_and_is_deleted(system: ReadersSystem) -> None:
    lines = system.run(example(PAGE, SCHEDULE, "sh"))
    assert int(_field(lines, "runs")) >= 2
    assert _field(lines, "deleted") == "true"


def test_a_program_gets_results_and_errors(system: ReadersSystem) -> None:
    assert system.run_python(example(PAGE, PROGRAM, "python")) == ["[4, 25, 168]", "exception"]


def test_every_block_of_the_page_is_in_one_of_these_steps() -> None:
    blocks = [block for block in code_blocks() if block.page == PAGE]
    assert [(block.heading, block.language) for block in blocks] == [
        ("1. See it run", "sh"),
        (FUNCTION, "python"),
        (START, "sh"),
        *[(RUN, "sh")] * 2,
        *[(ERROR, "sh"), (ERROR, "python"), (ERROR, "sh")],
        (SCALE, "sh"),
        (SCHEDULE, "sh"),
        (PROGRAM, "python"),
    ]


def _has(lines: list[str], texts: tuple[str, ...]) -> bool:
    return all(text in "\n".join(lines) for text in texts)


def _field(lines: list[str], name: str) -> str:
    """Return the value of a line such as `result:  168`."""
    (value,) = [line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")]
    return value
