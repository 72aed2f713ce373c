"""The examples of README.md, docs/functions.md, docs/callbacks.md and others, run as a reader pastes them."""

import json
import re
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manager.callbacks.signature import headers, parse_secrets
from tests.acceptance.manager.callback_receiver import SECRET
from tests.acceptance.sha512 import sha512
from tests.acceptance.up.pages import CALLBACKS_PAGE, FUNCTIONS_PAGE, README, ROOT, ReadersSystem, example
from tests.code_blocks import CodeBlock, code_blocks, commands
from tests.waiting import until
from workmanager.client import Client

PROGRAMS = {".venv/bin/workmanager", "tee"}
OTHER_PAGES = {ROOT / f"docs/{name}.md" for name in ("command-line", "limits", "operations", "watching")}
COMMANDS_OF_OTHER_PAGES = [
    block
    for block in code_blocks("sh")
    if block.page in OTHER_PAGES and all(command.words[0] in PROGRAMS for command in commands(block.text))
]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadersSystem]:
    """The system, not ready yet: the first test is about that."""
    system = ReadersSystem(tmp_path_factory.mktemp("reader") / "run")
    try:
        system.start()
        yield system
    finally:
        system.up.kill_all()


@pytest.fixture
def client(system: ReadersSystem) -> Iterator[Client]:
    with Client(system.up.urls, retry_seconds=60) as client:
        until(lambda: client.status(), wanted="a system that answers")
        yield client


def test_the_quick_start_prints_a_value_even_if_the_system_is_still_starting(system: ReadersSystem) -> None:
    enqueued, pulled = map(json.loads, system.run(example(README, "Quick start", "sh", "curl")))
    assert pulled == [{"Work ID": enqueued["Work ID"], "Value": sha512(README.read_bytes(), 1000)}]


@pytest.mark.usefixtures("client")
def test_the_readmes_function_prints_the_documented_value(system: ReadersSystem) -> None:
    submitted, pulled = map(json.loads, system.run(example(README, "Your own functions", "sh", "curl")))
    _, documented = map(json.loads, example(README, "Your own functions", "", "Work ID").splitlines())
    assert pulled == [{"Work ID": submitted["id"], "Value": documented[0]["Value"]}]


@pytest.mark.usefixtures("client")
def test_the_readmes_client_pulls_what_it_has_submitted(system: ReadersSystem) -> None:
    (printed,) = system.run_python(example(README, "Operate", "python"))
    assert printed.split()[1] == sha512(b"data", 1000)


@pytest.mark.usefixtures("client")
def test_a_built_in_function_is_called(system: ReadersSystem) -> None:
    lines = system.run(example(FUNCTIONS_PAGE, "Built-in functions", "sh", "submit"))
    assert ["status:", "finished"] in [line.split() for line in lines]


def test_a_file_is_given_to_a_function(system: ReadersSystem, client: Client) -> None:
    (system.directory / "photo.png").write_bytes(_png(640, 480))
    lines = system.run(example(FUNCTIONS_PAGE, "Functions that take files", "sh", "submit"))
    assert any(line.startswith("result:") and line.endswith('{"width": 320, "height": 240}') for line in lines)
    (submitted,) = map(json.loads, system.run(example(FUNCTIONS_PAGE, "Functions that take files", "sh", "curl")))
    assert client.job(submitted["id"], wait_seconds=50)["result"] == {"width": 640, "height": 480}


def test_a_function_that_raises_is_retried_until_it_succeeds(system: ReadersSystem, client: Client) -> None:
    report = system.directory / "report.csv"
    text = example(FUNCTIONS_PAGE, "Errors and retries", "sh").replace("/tmp/report.csv", str(report))
    shell = system.paste(text)
    until(lambda: any(client.jobs(status="scheduled")), wanted="a job that waits for its retry")
    report.write_text("a\nb\n")
    output, _ = shell.communicate(timeout=60)
    assert shell.returncode == 0
    assert re.search(r"^result: +2$", output, re.MULTILINE)
    assert "FileNotFoundError" in output


def test_a_permanent_error_is_not_retried(system: ReadersSystem, client: Client) -> None:
    text = example(FUNCTIONS_PAGE, "Errors and retries", "sh").replace("/tmp/report.csv", "notes.txt")
    shell = system.paste(text)
    output, _ = shell.communicate(timeout=60)
    assert shell.returncode == 1
    assert "PermanentError: notes.txt is not a CSV file" in output
    assert client.job(output.split()[0])["attempts"] == 1


@pytest.mark.usefixtures("client")
def test_many_jobs_are_submitted_as_lines(system: ReadersSystem) -> None:
    answers = system.run(example(FUNCTIONS_PAGE, "Many jobs at once", "sh", "curl"))
    assert [[*json.loads(answer)] for answer in answers] == [["id"], ["id"]]
    lines = system.run(example(FUNCTIONS_PAGE, "Many jobs at once", "sh", "submit"))
    assert lines[:2] == ["report-2030-01-30  line 1", "report-2030-01-31  line 2"]
    assert sorted(lines[2:]) == ["report-2030-01-30  finished  null", "report-2030-01-31  finished  null"]


@pytest.mark.usefixtures("client")
def test_many_jobs_are_submitted_from_python(system: ReadersSystem) -> None:
    assert system.run_python(example(FUNCTIONS_PAGE, "Many jobs at once", "python")) == ["finished []"]


@pytest.mark.usefixtures("client")
def test_a_listener_prints_a_callback_that_a_receiver_understands(
    system: ReadersSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted, printed = system.run(example(CALLBACKS_PAGE, "Without a public address", "sh"))
    event = json.loads(printed)
    assert event["type"] == "job.finished"
    assert event["data"]["id"] == submitted.split()[0]
    shown = json.loads(example(CALLBACKS_PAGE, "What is sent", "json"))
    assert (event.keys(), event["data"].keys()) == (shown.keys(), shown["data"].keys())
    receiver: dict[str, Any] = {}
    exec(example(CALLBACKS_PAGE, "Receive", "python").replace("whsec_…", SECRET), receiver)
    body = printed.encode()
    receiver["receive"](headers("id", parse_secrets([SECRET]), int(time.time()), body), body)
    assert capsys.readouterr().out == f"job.finished {event['data']['id']}\n"


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("block", COMMANDS_OF_OTHER_PAGES, ids=str)
def test_commands_of_other_pages_succeed(system: ReadersSystem, block: CodeBlock) -> None:
    system.run("set -eo pipefail\n" + block.text)


@pytest.mark.parametrize("page", [README, FUNCTIONS_PAGE, CALLBACKS_PAGE], ids=lambda page: page.name)
def test_examples_have_no_comments_which_an_interactive_zsh_takes_for_arguments(page: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    assert [line for block in blocks for line in block.splitlines() if re.search(r"(^|\s)#", line)] == []


def _png(width: int, height: int) -> bytes:
    """Return a black image."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" * (width + 1)) * height)
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
