"""`workmanager submit`: submit files to be hashed with SHA-512, or one job of any function."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from workmanager.client import FINAL_STATUSES, MAX_WAIT_SECONDS, Client
from workmanager.commands.arguments import CommandParser, client_parser, json_object, open_client, positive_int
from workmanager.commands.output import print_fields, print_json
from workmanager.errors import UsageError, WorkManagerError


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
    for job_id in ids:
        job = client.job(job_id, wait_seconds=MAX_WAIT_SECONDS)
        while job["status"] not in FINAL_STATUSES:
            job = client.job(job_id, wait_seconds=MAX_WAIT_SECONDS)
        print_json(job) if as_json else print_fields(job)
        all_finished = all_finished and job["status"] == "finished"
    return 0 if all_finished else 1
