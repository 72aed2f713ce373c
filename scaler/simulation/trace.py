"""Reads recorded arrivals from this project's CSV, Azure's LLM inference traces or SWF logs, gzipped or plain."""

import csv
import gzip
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TextIO

GENERATED_TOKEN_SECONDS = 0.02
CONTEXT_TOKEN_SECONDS = 0.0002
"""Azure's traces record tokens, not durations."""


class TraceError(Exception):
    """A trace does not match its format. The message names the line."""


class TracedJob(NamedTuple):
    """One arrival. `submit_seconds` is relative to the first arrival.

    A named tuple, because traces have up to a million of them and a dataclass is slower.
    """

    submit_seconds: float
    service_seconds: float
    function: str


def read_trace(path: Path, format_name: str) -> list[TracedJob]:
    """Return the jobs of a trace in order of submission, the first at 0.

    Args:
        format_name: one of `FORMATS`.

    Raises:
        TraceError: a line cannot be read, or there is no job at all.
        OSError: the file cannot be opened.
    """
    with _open(path) as lines:
        jobs = sorted(FORMATS[format_name](lines), key=lambda job: job.submit_seconds)
    if not jobs:
        raise TraceError(f"{path}: no jobs")
    start = jobs[0].submit_seconds
    return [TracedJob(job.submit_seconds - start, job.service_seconds, job.function) for job in jobs]


def format_of(path: Path) -> str:
    """Return the format that a trace's file name suggests: `….swf…` is an SWF log, `Azure…` one of Azure's traces."""
    if ".swf" in path.name:
        return "swf"
    return "azure" if path.name.startswith("Azure") else "csv"


def write_trace(path: Path, jobs: Sequence[TracedJob]) -> None:
    """Write a trace in this project's CSV format."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("submit_s", "service_s", "function"))
        writer.writerows(jobs)


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", newline="") if compressed else path.open(newline="")


def _read_csv(lines: TextIO) -> Iterator[TracedJob]:
    for number, row in _rows(lines, ("submit_s", "service_s")):
        job = _job(number, row["submit_s"], row["service_s"], row.get("function") or "job")
        if job.service_seconds < 0:
            raise TraceError(f"line {number}: service_s is below 0: {job.service_seconds:g}")
        yield job


def _read_azure(lines: TextIO) -> Iterator[TracedJob]:
    for number, row in _rows(lines, ("TIMESTAMP", "ContextTokens", "GeneratedTokens")):
        try:
            submitted = datetime.fromisoformat(row["TIMESTAMP"] + "+00:00").timestamp()
            generated, context = int(row["GeneratedTokens"]), int(row["ContextTokens"])
        except ValueError as error:
            raise TraceError(f"line {number}: {error}") from error
        yield TracedJob(submitted, generated * GENERATED_TOKEN_SECONDS + context * CONTEXT_TOKEN_SECONDS, "llm")


def _read_swf(lines: TextIO) -> Iterator[TracedJob]:
    """Standard Workload Format: field 2 is the submission, 4 the run time, 14 the application. -1 means unknown."""
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith(";"):
            continue
        if len(fields) < 14:
            raise TraceError(f"line {number}: {len(fields)} fields, not the 18 of SWF")
        job = _job(number, fields[1], fields[3], f"application-{fields[13]}")
        if job.service_seconds >= 0:
            yield job


def _rows(lines: TextIO, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.DictReader(lines)
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise TraceError(f"line 1: no column {', '.join(missing)}")
    for row in reader:
        yield reader.line_num, row


def _job(number: int, submitted: str, service: str, function: str) -> TracedJob:
    try:
        job = TracedJob(float(submitted), float(service), function)
    except (TypeError, ValueError) as error:
        raise TraceError(f"line {number}: {error}") from error
    if not (math.isfinite(job.submit_seconds) and math.isfinite(job.service_seconds)):
        raise TraceError(f"line {number}: a time is not a finite number of seconds")
    return job


FORMATS: Mapping[str, Callable[[TextIO], Iterator[TracedJob]]] = {
    "csv": _read_csv,
    "azure": _read_azure,
    "swf": _read_swf,
}
