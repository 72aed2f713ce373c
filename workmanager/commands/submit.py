"""`workmanager submit`: submit files to be hashed with SHA-512, or one job of any function."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workmanager.client import FINAL_STATUSES, MAX_WAIT_SECONDS, Client
from workmanager.commands.arguments import CommandParser, client_parser, json_object, open_client, positive_int
from workmanager.commands.job import print_job
from workmanager.commands.output import print_json
from workmanager.errors import UsageError, WorkManagerError

FIRST_HINT_SECONDS = 5
"""After this, `--wait` tells what keeps a job from running."""


def main(arguments: Sequence[str]) -> int:
    """Print each Work ID when its job is accepted, and with `--wait` each ended job. Return 1 if one did not finish."""
    options = _parser().parse_args(arguments)
    if bool(options.file) == bool(options.function):
        raise UsageError("give either files or --function NAME (see workmanager submit --help)")
    with open_client(options) as client:
        ids = []
        for job_id, source in _submit(client, options):
            ids.append(job_id)
            print_json({"id": job_id, "source": source}) if options.json else print(f"{job_id}  {source}")
        return _wait(client, ids, as_json=options.json) if options.wait else 0


def _parser() -> CommandParser:
    parser = client_parser("submit", __doc__)
    parser.add_argument("file", nargs="*", type=Path, metavar="FILE", help="a file to hash; one job each")
    parser.add_argument(
        "--iterations", type=positive_int, default=1, metavar="N", help="hash each file N times over (default 1)"
    )
    parser.add_argument("--function", metavar="NAME", help="sha512, http, sleep, noop, or a registered module.function")
    parser.add_argument("--kwargs", type=json_object, metavar="JSON", help="keyword arguments of the function")
    parser.add_argument("--queue", metavar="NAME", help="with --function: queue of the job")
    parser.add_argument("--timeout", type=positive_int, metavar="SECONDS", help="longest run time of each job")
    parser.add_argument("--wait", action="store_true", help="wait until the jobs have ended")
    return parser


def _submit(client: Client, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the id and the source (file or function) of each accepted job."""
    if options.function:
        job = {"kwargs": options.kwargs, "queue": options.queue, "timeout": options.timeout}
        yield client.submit(options.function, **job), options.function
        return
    for path in options.file:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise WorkManagerError(f"cannot read {path}: {error.strerror}") from error
        yield client.enqueue(data, iterations=options.iterations, timeout_seconds=options.timeout), str(path)


def _wait(client: Client, ids: Sequence[str], *, as_json: bool) -> int:
    all_finished = True
    hints: set[str] = set()
    for job_id in ids:
        job = client.job(job_id, wait_seconds=FIRST_HINT_SECONDS)
        while job["status"] not in FINAL_STATUSES:
            for hint in _hints(client, job):
                if hint not in hints:
                    hints.add(hint)
                    print(f"waiting: {hint}", file=sys.stderr, flush=True)
            job = client.job(job_id, wait_seconds=MAX_WAIT_SECONDS)
        print_json(job) if as_json else print_job(job)
        all_finished = all_finished and job["status"] == "finished"
    return 0 if all_finished else 1


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
