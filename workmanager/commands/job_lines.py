"""Jobs as lines of JSON, as `POST /jobs/batch` takes them: read from a file, submitted, answered in order."""

import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import cast

from workmanager.client import Client
from workmanager.errors import ClientError, UsageError, WorkManagerError
from workmanager.http.submission import Submission, job_json

Line = tuple[int, Submission | UsageError]
"""The number of a line, from 1, and its job or what is wrong with it."""


def count_jobs(path: str) -> int | None:
    """Return how many lines a file has that are not blank; None of what can be read only once, such as a pipe.

    Raises:
        OSError: the file cannot be read.
    """
    if path == "-" or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return sum(1 for line in file if line.strip())


def read_jobs(path: str) -> Iterator[Line]:
    """Yield the lines of a file, or of standard input (`-`), that are not blank.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line := line.strip():
                    yield number, _parse(line)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def submit_lines(client: Client, lines: Iterable[Line]) -> Iterator[tuple[int, str | WorkManagerError]]:
    """Submit the jobs, and yield the number of each line with the job's id or what refused it, in order.

    Raises:
        ClientError: no manager took the jobs from a line on, which it names.
    """
    waiting: deque[tuple[int, UsageError | None]] = deque()

    def jobs() -> Iterator[Submission]:
        for number, job in lines:
            if isinstance(job, UsageError):
                waiting.append((number, job))
            else:
                waiting.append((number, None))
                yield job

    results = client.submit_many(jobs())
    while True:
        result: str | ClientError | None = None
        failure: ClientError | None = None
        try:
            result = next(results, None)
        except ClientError as error:
            failure = error
        while waiting and (refusal := waiting[0][1]) is not None:
            yield waiting.popleft()[0], refusal
        if failure is not None:
            raise _name_line(failure, waiting[0][0]) from failure
        if result is None:
            return
        yield waiting.popleft()[0], result


def _parse(line: bytes) -> Submission | UsageError:
    try:
        job = json.loads(line)
    except RecursionError:
        return UsageError("nested too deeply")
    except ValueError as error:
        return UsageError(f"not JSON: {error}")
    if not isinstance(job, dict):
        return UsageError("not a JSON object")
    try:
        job_json(cast(Submission, job))
    except UsageError as error:
        return error
    return cast(Submission, job)


def _name_line(error: ClientError, number: int) -> ClientError:
    message = f"no answer for line {number} and those after it: {error}"
    named = type(error)(message, error.status, error.problem, error.retry_after_seconds)
    named.retried = error.retried
    return named
