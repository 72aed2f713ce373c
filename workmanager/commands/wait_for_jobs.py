"""Wait for jobs, and tell meanwhile what keeps them from running."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from workmanager.client import FINAL_STATUSES, Client
from workmanager.commands.exit_codes import FAILURE, NOT_FOUND
from workmanager.commands.job import print_job
from workmanager.commands.output import one_line, print_error, print_one
from workmanager.commands.progress_line import ProgressLine
from workmanager.commands.terminal import STYLES, styled
from workmanager.errors import ClientError, WorkManagerError
from workmanager.http.job_methods import MAX_WAIT_IDS, MAX_WAIT_SECONDS

FIRST_HINT_SECONDS = 5
"""After this, a person is told what keeps a job from running."""


def wait_for_jobs(
    client: Client,
    ids: Sequence[str],
    options: argparse.Namespace,
    *,
    timeout_seconds: float | None = None,
    is_shown: bool = True,
) -> int:
    """Print each job when it has ended: of several, a line with its value each, otherwise all there is to see.

    Returns:
        The exit code: 0 if all of them finished, within the time if one is given; that of the first one otherwise.
    """
    ids = list(dict.fromkeys(ids))
    with ProgressLine(len(ids), "jobs ended") as progress:
        return _wait(client, ids, options, progress, timeout_seconds, is_shown=is_shown)


def _wait(
    client: Client,
    ids: Sequence[str],
    options: argparse.Namespace,
    progress: ProgressLine,
    timeout_seconds: float | None,
    *,
    is_shown: bool,
) -> int:
    waiting = list(ids)
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    seconds: float = FIRST_HINT_SECONDS
    code = 0
    hints: set[str] = set()
    while waiting:
        remaining_seconds = seconds if deadline is None else max(0.0, deadline - time.monotonic())
        statuses = client.wait_for_jobs(
            waiting[:MAX_WAIT_IDS], wait_for="any", timeout_seconds=min(seconds, remaining_seconds)
        )
        ended = {job_id for job_id, status in statuses.items() if status is None or status in FINAL_STATUSES}
        for done, job_id in enumerate((each for each in waiting if each in ended), len(ids) - len(waiting) + 1):
            progress.clear()
            if is_shown or statuses[job_id] is None:
                _show(client, job_id, options, is_one=len(ids) == 1)
            progress.update(done)
        code = code or next(filter(None, (_code(statuses[each]) for each in waiting if each in ended)), 0)
        waiting = [job_id for job_id in waiting if job_id not in ended] if ended else waiting
        if waiting and deadline is not None and time.monotonic() >= deadline:
            progress.clear()
            print_error(f"workmanager: {len(waiting)} of {len(ids)} jobs have not ended within {timeout_seconds:g} s")
            return code or FAILURE
        if not ended:
            seconds = MAX_WAIT_SECONDS
            for hint in _hints(client, waiting[0]):
                if hint not in hints:
                    hints.add(hint)
                    progress.clear()
                    print_error(f"waiting: {hint}")
    return code


def _code(status: str | None) -> int:
    """Return the exit code of a job that has ended, or does not exist (None)."""
    if status is None:
        return NOT_FOUND
    return 0 if status == "finished" else FAILURE


def _show(client: Client, job_id: str, options: argparse.Namespace, *, is_one: bool) -> None:
    try:
        job = client.job(job_id)
    except ClientError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        print_error(f"workmanager: {error}")
    else:
        print_one(options, job, print_job if is_one else _print_value)


def _print_value(job: Mapping[str, Any]) -> None:
    error, value = job.get("error"), ""
    if error:
        value = f"{error.get('reason')}: {str(error.get('message')).splitlines()[0]}"
    elif job["status"] == "finished":
        value = json.dumps(job.get("result"), ensure_ascii=False)
    status = styled(job["status"], STYLES.get(job["status"]), sys.stdout)
    print(f"{one_line(job['id'])}  {status}  {one_line(value)}".rstrip(), flush=True)


def _hints(client: Client, job_id: str) -> Iterator[str]:
    """Yield what keeps a job from running."""
    try:
        explanation = client.explain(job_id)
        if explanation["status"] == "started":
            return
        yield f"job {job_id}: {explanation['sentence']}"
        problems = client.status().get("problems", ())
    except WorkManagerError:
        return  # The next request tells, if it still matters then.
    yield from problems
