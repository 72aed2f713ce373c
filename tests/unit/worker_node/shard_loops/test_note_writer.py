"""What is taken of that which running jobs tell."""

import asyncio
from typing import Any

import pytest

from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.redaction import Redaction
from worker_node.shard_loops import note_writer
from worker_node.shard_loops.note_writer import MAX_LINE_CHARACTERS, MAX_LINES, NoteWriter


class Shard:
    """Notes what scripts are given."""

    prefix = "rq"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def run(self, script: Any, *arguments: Any) -> int:
        self.calls.append(arguments)
        return 0


async def written(writer: NoteWriter) -> None:
    running = asyncio.create_task(writer.run())
    await writer.wait_until_idle()
    running.cancel()


async def test_the_first_and_the_last_lines_are_kept_and_those_between_counted_and_long_ones_cut() -> None:
    shard, job = Shard(), claimed_job(id="a")
    writer = NoteWriter(shard, Redaction())  # type: ignore[arg-type]
    writer.take(job, "log", b"x" * 5000)
    for number in range(MAX_LINES + 10):
        writer.take(job, "log", b"%d\nsecond" % number)
    await written(writer)
    (arguments,) = shard.calls
    texts = arguments[10::3]
    assert len(texts) == MAX_LINES + 1
    assert len(texts[0]) == MAX_LINE_CHARACTERS
    assert texts[1:3] == ("0", "second")
    assert texts[MAX_LINES // 2] == f"({1 + 2 * (MAX_LINES + 10) - MAX_LINES} lines are left out here)"
    assert texts[-2:] == (str(MAX_LINES + 9), "second")


async def test_lines_are_written_with_their_streams_and_without_secrets() -> None:
    shard, job = Shard(), claimed_job(id="a")
    writer = NoteWriter(shard, Redaction("hush"))  # type: ignore[arg-type]
    writer.take(job, "log", b"hush 1")
    writer.take(job, "progress", b'{"done":1,"total":2,"text":"hush 2"}')
    writer.take_output(job, [(5, "stdout", "x" * (MAX_LINE_CHARACTERS - 2) + "hush 3")])
    await written(writer)
    (arguments,) = shard.calls
    assert "hush" not in str(arguments)
    assert arguments[9] == "log"
    assert arguments[11:13] == (5, "stdout")


async def test_lines_of_jobs_that_have_ended_are_written_before_their_ends() -> None:
    shard = Shard()
    writer = NoteWriter(shard, Redaction())  # type: ignore[arg-type]
    ended, running = claimed_job(id="ended"), claimed_job(id="running")
    for job in (ended, running):
        writer.take(job, "log", b"line")
    await writer.write_for([ended, claimed_job(id="silent")])
    assert ["ended" in arguments for arguments in shard.calls] == [True]
    await writer.write_for([ended])
    await written(writer)
    assert ["running" in arguments for arguments in shard.calls] == [False, True]


async def test_all_jobs_together_cannot_tell_more_than_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(note_writer, "MAX_ALL_LINES", 5)
    shard = Shard()
    writer = NoteWriter(shard, Redaction())  # type: ignore[arg-type]
    for name in "abc":
        writer.take_output(claimed_job(id=name), [(1, "stdout", "line")] * 3)
    await written(writer)
    (arguments,) = shard.calls
    assert arguments.count("line") == 5
    assert [text for text in map(str, arguments) if "left out" in text] == [
        "(1 line is left out here)",
        "(3 lines are left out here)",
    ]
    writer.take_output(claimed_job(id="d"), [(1, "stdout", "line")])
    await written(writer)
    assert shard.calls[-1].count("line") == 1, "there is room again"


async def test_the_last_progress_of_a_job_is_written_once() -> None:
    shard, job = Shard(), claimed_job(id="a")
    writer = NoteWriter(shard, Redaction())  # type: ignore[arg-type]
    for done in range(3):
        writer.take(job, "progress", b'{"done":%d,"total":null,"text":"t"}' % done)
    await written(writer)
    (arguments,) = shard.calls
    assert arguments[5].startswith('{"done":2,"total":null,"text":"t","at":')


async def test_no_more_jobs_are_kept_than_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(note_writer, "MAX_JOBS", 2)
    shard = Shard()
    writer = NoteWriter(shard, Redaction())  # type: ignore[arg-type]
    for name in "abc":
        writer.take(claimed_job(id=name), "log", b"line")
    await written(writer)
    assert [argument for argument in shard.calls[0] if argument in ("a", "b", "c")] == ["a", "b"]


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"[]", b"{}", b"null", b'{"done":1}', b'{"done":"1","total":1,"text":""}', b"\xff"),
        *(b'{"done":NaN,"total":1,"text":""}', b'{"done":1e400,"total":1,"text":""}'),
        *(b'{"done":true,"total":1,"text":""}', b'{"done":1,"total":1,"text":[]}', b"[" * 100_000),
        b'{"done":1,"total":1,"text":"\\ud800"}',
    ],
)
async def test_what_is_no_progress_is_refused(value: bytes) -> None:
    writer = NoteWriter(Shard(), Redaction())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a progress has"):
        writer.take(claimed_job(), "progress", value)
