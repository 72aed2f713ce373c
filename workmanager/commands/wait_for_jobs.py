"""Wait for jobs, and tell meanwhile what keeps them from running."""

import argparse
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from workmanager.client import FINAL_STATUSES, MAX_WAIT_IDS, MAX_WAIT_SECONDS, Client
from workmanager.commands.job import print_job
from workmanager.commands.output import print_error, print_one
from workmanager.errors import ClientError, WorkManagerError

FIRST_HINT_SECONDS = 5
"""After this, a person is told what keeps a job from running."""


def wait_for_jobs(
    client: Client, ids: Sequence[str], options: argparse.Namespace, *, timeout_seconds: float | None = None
) -> bool:
    """Print each job when it has ended. Return whether all of them finished, within the time if one is given."""
    waiting = list(dict.fromkeys(ids))
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    seconds: float = FIRST_HINT_SECONDS
    all_finished = True
    hints: set[str] = set()
    while waiting:
        remaining_seconds = seconds if deadline is None else max(0.0, deadline - time.monotonic())
        statuses = client.wait_for_jobs(
            waiting[:MAX_WAIT_IDS], wait_for="any", timeout_seconds=min(seconds, remaining_seconds)
        )
        ended = [job_id for job_id, status in statuses.items() if status is None or status in FINAL_STATUSES]
        for job_id in ended:
            all_finished = _show(client, job_id, options) and all_finished
        waiting = [job_id for job_id in waiting if job_id not in set(ended)] if ended else waiting
        if waiting and deadline is not None and time.monotonic() >= deadline:
            print_error(f"workmanager: {len(waiting)} of {len(ids)} jobs have not ended within {timeout_seconds:g} s")
            return False
        if not ended:
            seconds = MAX_WAIT_SECONDS
            for hint in _hints(client, waiting[0]):
                if hint not in hints:
                    hints.add(hint)
                    print_error(f"waiting: {hint}")
    return all_finished


def _show(client: Client, job_id: str, options: argparse.Namespace) -> bool:
    try:
        job = client.job(job_id)
    except ClientError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        print_error(f"workmanager: {error}")
        return False
    print_one(options, job, print_job)
    return bool(job["status"] == "finished")


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
