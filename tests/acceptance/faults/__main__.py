"""`python -m tests.acceptance.faults`: run the system, inject faults, and check every result.

Prints a JSON line for each fault and one for the whole run on stdout; progress and a table on stderr. Exit codes: 0 if
nothing was lost, doubled or wrong, the system recovered automatically each time, and writes paused no longer than
allowed; 1 otherwise, with the reasons and the command that repeats the run; 130 if it was interrupted.
"""

import argparse
import asyncio
import os
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tests.acceptance.faults.catalogue import FAULTS
from tests.acceptance.faults.fault_plan import FaultStep, named_steps, random_steps
from tests.acceptance.faults.fault_run import FaultRun, log_progress
from tests.acceptance.faults.resource_faults import faketime_library

_IN_OWN_NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_INSIDE = "TESTS_FAULTS_INSIDE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(prog="tests.acceptance.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="inject random faults for this many seconds")
    parser.add_argument("--steps", type=int, default=0, help="inject this many random faults")
    parser.add_argument("--seed", type=int, default=None, help="seed of all choices (default: random)")
    parser.add_argument(
        "--faults", default="", help=f"inject these faults in this order, comma-separated: {', '.join(FAULTS)}"
    )
    parser.add_argument("--lasting", type=float, default=20.0, help="seconds that a lasting fault lasts (default 20)")
    parser.add_argument(
        "--resume", type=float, default=10.0, help="longest allowed pause of writes in seconds (default 10)"
    )
    parser.add_argument("--server", default="", help="program of the Redis servers (default: the embedded Valkey)")
    parser.add_argument("--directory", type=Path, help="directory for files and logs (default: a temporary one)")
    given = parser.parse_args(arguments)
    names = [name.strip() for name in given.faults.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"--faults: unknown faults: {', '.join(unknown)}")
    if bool(names) + bool(given.seconds) + bool(given.steps) != 1:
        parser.error("give exactly one of --seconds, --steps and --faults")
    if os.geteuid() != 0:
        parser.error("must run as root: hosts are network namespaces")
    if faketime_library() is None and "clock off" in (names or FAULTS):
        parser.error("'clock off' needs libfaketime: apt-get install libfaketime")
    if _INSIDE not in os.environ:
        # In its own namespaces, no process, network or mount can outlive this program.
        command = [*_IN_OWN_NAMESPACES, sys.executable, "-m", "tests.acceptance.faults", *(arguments or sys.argv[1:])]
        os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    return _run(given, names, seed)


def _run(given: argparse.Namespace, names: Sequence[str], seed: int) -> int:
    directory = given.directory or Path(tempfile.mkdtemp(prefix="faults-"))
    log_progress(f"seed {seed}, files in {directory}")
    steps: Iterable[FaultStep]
    if names:
        steps = named_steps(names, seed, given.lasting)
    elif given.steps:
        steps = islice(random_steps(FAULTS, seed, given.lasting), given.steps)
    else:
        steps = _in_time(random_steps(FAULTS, seed, given.lasting), given.seconds)
    summary = asyncio.run(FaultRun(directory, seed, given.resume, given.server).run(steps))
    failed = bool(summary["complaints"])
    if failed:
        steps_option = ["--faults", ",".join(names)] if names else ["--steps", str(max(summary["faults"], 1))]
        replay = [
            "--seed",
            str(seed),
            "--lasting",
            f"{given.lasting:g}",
            "--resume",
            f"{given.resume:g}",
            *(["--server", given.server] if given.server else []),
            *steps_option,
        ]
        log_progress("\n".join(["failed:", *(f"  {complaint}" for complaint in summary["complaints"])]))
        log_progress(f"to repeat: {shlex.join(['python', '-m', 'tests.acceptance.faults', *replay])}")
        log_progress(f"logs: {directory}")
    elif not given.directory:
        shutil.rmtree(directory)
    return 1 if failed else 130 if summary["interrupted"] else 0


def _in_time(steps: Iterator[FaultStep], seconds: float) -> Iterator[FaultStep]:
    """Yield the steps that start within this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield next(steps)


if __name__ == "__main__":
    sys.exit(main())
