"""`workmanager submit`: submit files, one job of any function, or many jobs as lines of JSON."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from workmanager.client import Client
from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.exit_codes import FAILURE, USAGE
from workmanager.commands.job_lines import count_jobs, read_jobs, submit_lines
from workmanager.commands.job_options import add_job_options, job_options
from workmanager.commands.output import print_error, print_json, print_line
from workmanager.commands.progress_line import ProgressLine
from workmanager.commands.wait_for_jobs import wait_for_jobs
from workmanager.errors import ClientError, UsageError, WorkManagerError
from workmanager.http.submission import JobOptions

EPILOG = """\
functions, with their keyword arguments (those in brackets have defaults):
  sha512  data (what FILE contains), iterations
  http    url [method] [headers] [body] [json] [timeout]
  sleep   seconds
  noop    any
  MODULE.FUNCTION of a module that the managers register

docs/functions.md describes them, and how to add functions of your own.
The fields of a line for --batch are those of POST /jobs (/docs of a manager, openapi.json).
Exit codes: 0 all jobs were accepted (with --wait: and finished), 1 one was not, 2 usage error: nothing was sent.
"""
REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""Answers that concern one job alone, so that the next one can be accepted."""


def main(arguments: Sequence[str]) -> int:
    """Print each Work ID when its job is accepted, and with `--wait` each ended job.

    Returns:
        1 if one was refused or did not finish, 2 if that is because nothing could be sent.
    """
    options = make_parser().parse_args(arguments)
    job = job_options(options)
    _check(options, job)
    ids = []
    all_accepted, all_wrong = True, True
    with open_client(options) as client:
        with ProgressLine(_count(options), "jobs submitted") as progress:
            for done, (label, result) in enumerate(_submit(client, options, job), 1):
                progress.clear()
                _print(label, result, options)
                progress.update(done)
                all_wrong = all_wrong and isinstance(result, UsageError)
                if not isinstance(result, str):
                    all_accepted = False
                elif options.wait:
                    ids.append(result)
        code = wait_for_jobs(client, ids, options, is_shown=not options.quiet)
    if all_accepted:
        return code
    return USAGE if all_wrong else FAILURE


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("submit", __doc__)
    parser.help_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.usage = (
        "workmanager submit FILE... [--iterations N] [--function NAME] [OPTION...]\n"
        "       workmanager submit --function NAME [--kwargs JSON] [OPTION...]\n"
        "       workmanager submit --batch FILE [--wait] [--json]"
    )
    parser.add_argument(
        "file",
        nargs="*",
        metavar="FILE",
        help="one job each: the argument `data` of the function (default: sha512); `-`: standard input",
    )
    parser.add_argument("--iterations", type=positive_int, metavar="N", help="hash each FILE N times over (default 1)")
    parser.add_argument("--function", metavar="NAME", help="function that the job calls; see below")
    parser.add_argument("--batch", metavar="FILE", help="submit each line of FILE (`-`: standard input), a job as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but the id of each job, for scripts")
    parser.add_argument("--wait", action="store_true", help="wait until the jobs have ended, and show them")
    add_job_options(parser)
    return parser


def _check(options: argparse.Namespace, job: JobOptions) -> None:
    """Refuse options that do not fit together."""
    if options.fields and not options.wait:
        raise UsageError("--fields chooses what --wait shows of the jobs")
    hashes = options.function in (None, "sha512")
    if options.batch is not None:
        if options.file or options.function or options.iterations or job:
            raise UsageError("with --batch, each line is a whole job: give no FILE and no option of a job")
    elif not (options.file or options.function):
        raise UsageError("give files, --function NAME or --batch FILE (see workmanager submit --help)")
    if options.iterations and not (options.file and hashes):
        raise UsageError("--iterations is for files that sha512 hashes; other arguments are given with --kwargs")
    if options.file.count("-") > 1:
        raise UsageError("- is standard input, which can be read once")
    if len(options.file) > 1 and ("id" in job or "unique" in job):
        raise UsageError(f"--id and --unique are for one job, and {len(options.file)} files are given")


def _count(options: argparse.Namespace) -> int | None:
    """Return how many jobs will be submitted; None if only their end tells."""
    if options.batch is None:
        return len(options.file) or 1
    try:
        return count_jobs(options.batch)
    except OSError:
        return None  # Reading it will tell why.


def _submit(
    client: Client, options: argparse.Namespace, job: JobOptions
) -> Iterator[tuple[dict[str, Any], str | WorkManagerError]]:
    """Yield for each job what names it (file, function or line), and its id or why it was refused."""
    if options.batch is not None:
        for number, result in submit_lines(client, read_jobs(options.batch)):
            yield {"line": number}, result
    elif not options.file:
        yield {"source": options.function}, client.submit(options.function, **job)
    else:
        for path in options.file:
            # A file name is bytes that need not be text.
            name = os.fsencode(path).decode(errors="replace")
            yield {"source": name}, _submit_file(client, path, options, job.copy())


def _submit_file(client: Client, path: str, options: argparse.Namespace, job: JobOptions) -> str | WorkManagerError:
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        return UsageError(error.strerror)
    function, iterations = options.function or "sha512", options.iterations or 1
    try:
        if function == "sha512" and job.keys() <= {"id", "timeout"}:
            # The data travel as they are, and not as base64.
            return client.enqueue(data, iterations=iterations, job_id=job.get("id"), timeout_seconds=job.get("timeout"))
        if function == "sha512":
            job["kwargs"] = {"iterations": iterations, **(job.get("kwargs") or {})}
        job["data"] = data
        return client.submit(function, **job)
    except ClientError as error:
        if error.status not in REFUSALS:
            raise
        return error


def _print(label: Mapping[str, Any], result: str | WorkManagerError, options: argparse.Namespace) -> None:
    name = label.get("source") or f"line {label['line']}"
    if isinstance(result, str) and options.quiet:
        print_line(result)
    elif isinstance(result, str):
        print_json({"id": result, **label}) if options.json else print_line(f"{result}  {name}")
    elif options.json:
        problem = getattr(result, "problem", None) or {"detail": str(result)}
        print_json({"error": problem, **label})
    else:
        print_error(f"workmanager: {name}: {result}")
