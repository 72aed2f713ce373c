"""Access log lines have the format of all log lines, and none is lost."""

import io
import logging
from collections.abc import Awaitable, Callable

import pytest

from manager.http.access_log import MAX_BUFFERED_LINES, AccessLog
from processes.json_log import JsonFormatter
from processes.log_collector import LogCollector, TcpSink
from processes.logs import configure_logging
from tests.waiting import until_async


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def has_lines(stream: io.StringIO, count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len(lines_of(stream)) == count

    return check


async def test_a_line_equals_that_of_the_logging_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure_logging()
    message = "event=request_completed method=PUT path=/enqueue status=200 ms=1.24 client=::1 request=abc key=env-1"
    now = 1767225599.0625
    record = logging.makeLogRecord({"name": "manager.access", "levelname": "INFO", "msg": message})
    record.created, record.msecs = now, 62.0
    stream = io.StringIO()
    log = AccessLog(stream)
    log.add("PUT", "/enqueue", 200, 0.001239, now, "::1", "abc", "env-1")
    log.flush()
    assert lines_of(stream) == [logging.getLogger().handlers[0].format(record)]
    assert lines_of(stream) == ["2025-12-31T23:59:59.062Z INFO manager.access " + message]


async def test_a_line_equals_that_of_the_logging_module_as_json_too_and_reaches_the_collector() -> None:
    message = "event=request_completed method=%s path=%s status=%d ms=%.2f client=%s request=%s key=%s job_id=%s"
    arguments = ("PUT", '/"\\', 200, 1.239, "::1", "abc", "env-1", "j")
    record = logging.LogRecord("manager.access", logging.INFO, "", 0, message, arguments, None)
    record.created = 1767225599.0625
    stream, collector = io.StringIO(), LogCollector(TcpSink("127.0.0.1", 1))
    log = AccessLog(stream, as_json=True, collector=collector)
    log.add("PUT", '/"\\', 200, 0.001239, record.created, "::1", "abc", "env-1", "j")
    log.flush()
    assert lines_of(stream) == [JsonFormatter().format(record)]
    assert [line.text for line in collector._lines] == lines_of(stream)


async def test_lines_are_written_after_a_moment() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    for status in (200, 404):
        log.add("GET", "/", status, 0.0, 0.0, "::1", "abc")
    assert lines_of(stream) == []
    await until_async(has_lines(stream, 2))
    assert [line.partition("status=")[2] for line in lines_of(stream)] == [
        "200 ms=0.00 client=::1 request=abc",
        "404 ms=0.00 client=::1 request=abc",
    ]
    log.add("GET", "/", 500, 0.0, 0.0, "::1", "abc")
    await until_async(has_lines(stream, 3))


async def test_a_full_buffer_is_written_at_once() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    for _ in range(MAX_BUFFERED_LINES):
        log.add("GET", "/", 200, 0.0, 0.0, "::1", "abc")
    assert len(lines_of(stream)) == MAX_BUFFERED_LINES


async def test_the_timestamp_follows_the_clock() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    for now in (1.999999, 2.0, 61.5):
        log.add("GET", "/", 200, 0.0, now, "::1", "abc")
    log.flush()
    assert [line[:24] for line in lines_of(stream)] == [
        "1970-01-01T00:00:01.999Z",
        "1970-01-01T00:00:02.000Z",
        "1970-01-01T00:01:01.500Z",
    ]
