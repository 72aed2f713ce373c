"""Log lines as JSON: the fields of events, with their types."""

import json
import logging
from typing import Any

import pytest

from processes.json_log import JsonFormatter


def line_of(message: object, *arguments: object, **fields: Any) -> dict[str, Any]:
    """Return the line of a log call."""
    record = logging.LogRecord("app.module", logging.WARNING, "", 0, message, arguments, None)
    record.created = 1767225599.0625
    for name, value in fields.items():
        setattr(record, name, value)
    text = JsonFormatter().format(record)
    assert text.isprintable(), "one line that controls no terminal"
    line: dict[str, Any] = json.loads(text)
    return line


def test_a_line_has_time_level_logger_and_event() -> None:
    assert line_of("event=worker_draining worker=%s running=%d", "w1", 3) == {
        "ts": "2025-12-31T23:59:59.062Z",
        "level": "warning",
        "logger": "app.module",
        "event": "worker_draining",
        "worker": "w1",
        "running": 3,
    }


@pytest.mark.parametrize(
    ("message", "arguments", "fields"),
    [
        ("event=e error=%r n=%.1f", ("it's a=b: no", 1.25), {"error": "it's a=b: no", "n": 1.2}),
        ("event=e name=%s other=%s", ("a b=c\n\x1b[31m", "größe"), {"name": "a b=c\n\x1b[31m", "other": "größe"}),
        ("event=e slot=%d %s job_id=%s", (1, "exit_code=1", "j"), {"slot": 1, "exit_code": "1", "job_id": "j"}),
        ("event=e epoch=%d %s", (1, "free words n=1"), {"epoch": 1, "details": "free words n=1"}),
        ("event=e reason=lease_expired flag=%s", (True,), {"reason": "lease_expired", "flag": True}),
        ("event=e a=%s: more, %d%% of it", ("x", 5), {"a": "x", "text": "more, 5% of it"}),
        ("event=e text=%r", ("x",), {"text": "x"}),
        ("event=e level=%s", ("x",), {"level_": "x"}),
        ("event=e server=%s:%d port=%d: more", ("h", 1, 2), {"server": "h:1", "port": 2, "text": "more"}),
        ("event=e share=%d%% url=tcp://%s", (5, "h"), {"share": "5%", "url": "tcp://h"}),
        ("event=e id=%s", (b"raw",), {"id": "b'raw'"}),
    ],
)
def test_values_are_not_taken_apart_and_numbers_are_numbers(
    message: str, arguments: tuple[object, ...], fields: dict[str, Any]
) -> None:
    line = line_of(message, *arguments)
    assert line.pop("event") == "e"
    assert {name: value for name, value in line.items() if name not in ("ts", "level", "logger")} == fields


def test_the_name_of_an_event_can_have_several_pieces() -> None:
    line = line_of("event=%s_available shard=%s after_seconds=%.1f", "claim", "{rq:0}", 2.5)
    assert (line["event"], line["shard"], line["after_seconds"]) == ("claim_available", "{rq:0}", 2.5)


@pytest.mark.parametrize(
    ("message", "arguments", "text"),
    [("a library says %s", ("hello",), "a library says hello"), ({"a": 1}, (), "{'a': 1}")],
)
def test_what_is_no_event_is_a_text(message: object, arguments: tuple[object, ...], text: str) -> None:
    assert line_of(message, *arguments)["text"] == text


def test_a_traceback_is_a_part_of_its_line() -> None:
    error = ValueError("failure")
    line = line_of("event=task_crashed", exc_info=(ValueError, error, None))
    assert line["exception"] == "ValueError: failure"
