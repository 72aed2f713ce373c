"""`workmanager submit`: puts files in for SHA-512, or one job of any function."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from workmanager import client
from workmanager.client import Client
from workmanager.commands.arguments import CommandParser, client_parser, json_object, open_client, positive_int
from workmanager.commands.output import print_fields, print_json
from workmanager.errors import UsageError, WorkManagerError

_FINISHED = "finished"


def main(arguments: Sequence[str]) -> int:
    """Prints each Work ID as its job is accepted; with `--wait`, each job when it has ended. 1 if one failed."""
    options = _parser().parse_args(arguments)
    if bool(options.file) == bool(options.function):
        raise UsageError("give either files or --function NAME (see workmanager submit --help)")
    with open_client(options) as system:
        ids = []
        for job_id, source in _submit(system, options):
            ids.append(job_id)
            print_json({"id": job_id, "source": source}) if options.json else print(f"{job_id}  {source}")
        return _wait(system, ids, as_json=options.json) if options.wait else 0


def _parser() -> CommandParser:
    parser = client_parser("submit", __doc__)
    parser.add_argument("file", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--iterations", type=positive_int, default=1, help="of SHA-512 over each file (default 1)")
    parser.add_argument("--function", help="sha512, http, sleep, noop, or a registered module.function")
    parser.add_argument("--kwargs", type=json_object, metavar="JSON", help="the function's keyword arguments")
    parser.add_argument("--queue")
    parser.add_argument("--timeout", type=positive_int, metavar="SECONDS")
    parser.add_argument("--wait", action="store_true", help="wait until the jobs have ended")
    return parser


def _submit(system: Client, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    if options.function:
        job = {"kwargs": options.kwargs, "queue": options.queue, "timeout": options.timeout}
        yield system.submit(options.function, **job), options.function
        return
    for path in options.file:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise WorkManagerError(f"cannot read {path}: {error.strerror}") from error
        yield system.enqueue(data, iterations=options.iterations, timeout_seconds=options.timeout), str(path)


def _wait(system: Client, ids: Sequence[str], *, as_json: bool) -> int:
    succeeded = True
    for job_id in ids:
        job = system.job(job_id, wait_seconds=client.MAX_WAIT_SECONDS)
        while job["status"] not in client.FINAL_STATUSES:
            job = system.job(job_id, wait_seconds=client.MAX_WAIT_SECONDS)
        print_json(job) if as_json else print_fields(job)
        succeeded = succeeded and job["status"] == _FINISHED
    return 0 if succeeded else 1
