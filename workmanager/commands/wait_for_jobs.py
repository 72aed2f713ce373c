"""Wait for submitted jobs, and tell meanwhile what keeps them from running."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workmanager.client import FINAL_STATUSES, MAX_WAIT_SECONDS, Client
from workmanager.commands.job import print_job
from workmanager.commands.output import print_error, print_json
from workmanager.errors import WorkManagerError

FIRST_HINT_SECONDS = 5
"""After this, a person is told what keeps a job from running."""


def wait_for_jobs(client: Client, ids: Sequence[str], *, as_json: bool) -> bool:
    """Print each job when it has ended, in order. Return whether all of them finished."""
    all_finished = True
    hints: set[str] = set()
    for job_id in ids:
        job = client.job(job_id, wait_seconds=FIRST_HINT_SECONDS)
        while job["status"] not in FINAL_STATUSES:
            for hint in _hints(client, job):
                if hint not in hints:
                    hints.add(hint)
                    print_error(f"waiting: {hint}")
            job = client.job(job_id, wait_seconds=MAX_WAIT_SECONDS)
        print_json(job) if as_json else print_job(job)
        all_finished = all_finished and job["status"] == "finished"
    return all_finished


def _hints(client: Client, job: Mapping[str, Any]) -> Iterator[str]:
    """Yield what keeps a job from running."""
    if job["status"] == "started":
        return
    if job["status"] == "scheduled" and job.get("due_at"):
        yield f"job {job['id']} is due at {job['due_at']}"
    if job["status"] == "deferred" and job.get("depends_on"):
        yield f"job {job['id']} starts after {', '.join(job['depends_on'])}"
    try:
        status = client.status()
    except WorkManagerError:
        return  # The next request tells, if it still matters then.
    if job["status"] == "queued" and status.get("Workers") == 0:
        yield "no worker is running yet"
    yield from status.get("problems", ())
