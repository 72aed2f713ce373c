"""What commands print: never what controls a terminal."""

import json
from typing import Any

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.client import Client
from workmanager.commands.output import print_error, print_fields, print_json, print_table
from workmanager.commands.terminal import tell_of_repeats

EVIL = "a\x1b[31m\x9b2J\x7f\r\x00\u202e\u2028\udcffb"
"""Colours, the one-byte form of such sequences, a deletion, the line's start, a reversal, half of a character."""


def test_the_name_of_a_queue_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["queue"], [["\x1b[31mred\x00"]])
    print_fields({"queue": "\x1b[31mred"})
    assert capsys.readouterr().out == "queue\n\\x1b[31mred\\x00\nqueue: \\x1b[31mred\n"


def test_numbers_in_tables_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["age", "n"], [[2.5518572330474854, 3]])
    assert capsys.readouterr().out == "age    n\n2.552  3\n"


def test_a_text_of_several_lines_makes_no_further_field(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"queue": "a\nstatus: finished", "status": "failed"})
    assert capsys.readouterr().out == "queue:  a\n        status: finished\nstatus: failed\n"


@pytest.mark.parametrize("value", [EVIL, "größe 字 😀", {EVIL: [EVIL, None]}, "\U000e0001 \\u007f"])
def test_json_is_printed_with_escapes_and_reads_as_the_same_value(
    capsys: pytest.CaptureFixture[str], value: Any
) -> None:
    print_json(value)
    (line, rest) = capsys.readouterr().out.split("\n")
    assert (line.isprintable(), rest, json.loads(line)) == (True, "", value)


JOB = {"id": EVIL, "status": "failed", "function": EVIL, "queue": EVIL, "enqueued_at": None, "ended_at": None}
DETAILS = {**JOB, "error": {"reason": EVIL, "message": EVIL, "traceback": f"{EVIL}\n{EVIL}"}, "meta": {EVIL: EVIL}}
QUEUE = {"name": EVIL, "served": True, "paused": True, "queued": 1}
STATUS = {"Jobs": 1, "Workers": 0, "queues": {EVIL: QUEUE}, "problems": [f"queue {EVIL} is paused"]}
LOG = {"decisions": [{"at": 0, "reason": EVIL}]}
PROBLEM = {"title": "refused", "detail": f"{EVIL} does not exist\nworkmanager: all is well"}


@pytest.mark.parametrize(
    ("arguments", "body", "status"),
    [
        (("queues",), {"queues": [QUEUE]}, 200),
        (("queues", "pause", "x"), {"name": EVIL, "paused": True}, 200),
        (("jobs",), {"jobs": [JOB], "cursor": None}, 200),
        (("job", "x"), DETAILS, 200),
        (("status",), STATUS, 200),
        (("pull",), [{"Work ID": EVIL, "Value": EVIL}], 200),
        (("scaler", "log"), LOG, 200),
        (("job", "x"), PROBLEM, 404),
        (("queues", "pause", "x"), PROBLEM, 404),
        (("cancel", "x"), PROBLEM, 409),
        (("submit", "--function", EVIL), PROBLEM, 422),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_command_sends_control_characters_to_the_terminal(
    run: Run, arguments: tuple[str, ...], body: Any, status: int, form: tuple[str, ...]
) -> None:
    with ScriptedManager(Answer(body, status)) as manager:
        _, out, err = run(*arguments, *form, "--url", manager.url)
    assert out + err
    assert [line for line in (out + err).split("\n") if not line.isprintable()] == []
    assert not any(line.startswith("workmanager: all is well") for line in err.split("\n"))


def test_why_a_request_is_repeated_does_neither(capsys: pytest.CaptureFixture[str]) -> None:
    tell_of_repeats(print_error)
    with ScriptedManager(Answer(PROBLEM, 503), Answer(STATUS)) as manager, Client(manager.url) as client:
        client.status()
    told = capsys.readouterr().err
    assert "trying again" in told
    assert told.rstrip("\n").isprintable()


@pytest.mark.parametrize("arguments", [("queues", EVIL), ("jobs", EVIL), (EVIL,), ("submit", "--queue", EVIL)])
def test_no_error_about_an_argument_does_either(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n"), err.rstrip("\n").isprintable()) == (2, "", 1, True)
