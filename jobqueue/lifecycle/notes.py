"""What running jobs tell of themselves: how far they are, and lines of a log."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jobqueue import keys
from jobqueue.claimed_job import ClaimedJob
from jobqueue.json_text import json_object
from jobqueue.model import DAY_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, record_of, text_of
from jobqueue.timestamps import LAST_MILLISECOND

LOG_LINES, LOG_HEAD_LINES = 1000, 200
"""How many lines of a job are kept, and how many of them are its first ones; the others are the last ones."""
LOG_STREAM = "log"
"""The stream of lines that a job logs by `workmanager.job`. What it prints has `stdout` or `stderr`."""
MAX_PROGRESS_CHARACTERS = 500
LOG_TTL_SECONDS = 7 * DAY_SECONDS


NewLine = tuple[int, str, str]
"""When it came (Unix time in milliseconds), its stream (`stdout`, `stderr` or `LOG_STREAM`), and its text."""


@dataclass(slots=True)
class JobNotes:
    """What a running job has told since the last time.

    Attributes:
        progress: the last one, as JSON; '' for none.
        lines: of its log.
    """

    job: ClaimedJob
    progress: str = ""
    lines: list[NewLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log.

    Attributes:
        id: of its place; later ones are larger.
        number: of the line, counted from 1 over all attempts. Where numbers are missing, lines are not kept; 0 if it
            is unknown.
        at_ms: Unix time in milliseconds.
        stream: `stdout`, `stderr`, or `log`.
    """

    id: str
    number: int
    at_ms: int
    attempt: int
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines of a job's log.

    Attributes:
        lines: in order.
        dropped: how many lines, between the first and the last ones, are not kept any more.
    """

    lines: tuple[LogLine, ...]
    dropped: int


def told_progress(encoded: bytes | None) -> dict[str, Any] | None:
    """Return the `done`, `total`, `text` and `at` in the JSON of a progress; None if it is none.

    A job can send whatever it likes, and other programs can write into its record.
    """
    told = json_object(encoded) or {}
    done, total, text = (told.get(name) for name in ("done", "total", "text"))
    if not _is_number(done) or not (total is None or _is_number(total)) or not isinstance(text, str):
        return None
    at = told.get("at", 0.0)
    return {
        "done": done,
        "total": total,
        "text": text[:MAX_PROGRESS_CHARACTERS],
        "at": at if _is_number(at) else 0.0,
    }


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


async def save_notes(shard: Shard, notes: Sequence[JobNotes]) -> None:
    """Save what jobs of one shard have told; nothing of one whose lease is another one's by now.

    Raises:
        ShardUnavailable: try again.
    """
    arguments: list[str | int] = [LOG_LINES, LOG_HEAD_LINES, LOG_TTL_SECONDS]
    for note in notes:
        job = note.job
        arguments += (job.id, job.token, note.progress, job.attempt, len(note.lines))
        for line in note.lines:
            arguments += line
    await shard.run(script("save_notes"), *arguments)


async def read_log(shard: Shard, job_id: str, after: str, limit: int) -> LogPage:
    """Return up to `limit` lines of a job's log.

    Args:
        after: id of the line after which to begin; '' for the first.

    Raises:
        ShardUnavailable: try again.
    """
    log = keys.log(shard.prefix, job_id)
    found, kept, total = await shard.execute(
        ("XRANGE", log, f"({after}" if after else "-", "+", "COUNT", limit),
        ("XLEN", log),
        ("HGET", keys.job(shard.prefix, job_id), "wm_log_lines"),
        tolerate_wrong_types=True,
    )
    lines = []
    for line_id, flat in found or ():
        fields = record_of(flat)
        number, attempt = (integer_of(fields.get(name)) for name in ("number", "attempt"))
        at_ms = integer_of(fields.get("at"), highest=LAST_MILLISECOND)
        stream = text_of(fields.get("stream", b"")) or LOG_STREAM
        lines.append(LogLine(text_of(line_id), number, at_ms, attempt, stream, text_of(fields.get("text", b""))))
    return LogPage(tuple(lines), max(0, integer_of(total) - (kept or 0)))
