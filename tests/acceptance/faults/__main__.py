"""`python -m tests.acceptance.faults`: runs the system, breaks it, and says what came of it.

Prints a line of JSON for each fault and one for the whole run on stdout; what it does, and a table, on stderr. It ends
with 0 where nothing was lost, doubled or wrong, everything recovered by itself and writes stood still no longer than
they may; with 1 where that was not so, saying what was wrong and how to run the same again; with 130 where it was
interrupted.
"""

from __future__ import annotations

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

_OWN_WORLD = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_INSIDE = "TESTS_FAULTS_INSIDE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; its exit code."""
    parser = argparse.ArgumentParser(prog="tests.acceptance.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="mix faults at random for so long")
    parser.add_argument("--steps", type=int, default=0, help="mix so many faults at random")
    parser.add_argument("--seed", type=int, default=None, help="of all choices (default: another one each time)")
    parser.add_argument("--faults", default="", help=f"these, in this order, comma-separated: {', '.join(FAULTS)}")
    parser.add_argument("--lasting", type=float, default=20.0, help="seconds that a stop or a cut lasts (default 20)")
    parser.add_argument("--resume", type=float, default=10.0, help="seconds that writes may stand still (default 10)")
    parser.add_argument("--directory", type=Path, help="of the programs' files and logs (default: a temporary one)")
    given = parser.parse_args(arguments)
    names = [name.strip() for name in given.faults.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"no such faults: {', '.join(unknown)}")
    if bool(names) + bool(given.seconds) + bool(given.steps) != 1:
        parser.error("give one of --seconds, --steps and --faults")
    if os.geteuid() != 0:
        parser.error("hosts are network namespaces, which needs root")
    if faketime_library() is None and "clock off" in (names or FAULTS):
        parser.error("libfaketime, which sets one host's clock, is missing: apt-get install libfaketime")
    if _INSIDE not in os.environ:
        # Namespaces of its own: whatever happens, no process, network or mount outlives this program.
        command = [*_OWN_WORLD, sys.executable, "-m", "tests.acceptance.faults", *(arguments or sys.argv[1:])]
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
    summary = asyncio.run(FaultRun(directory, seed, given.resume).run(steps))
    failed = bool(summary["complaints"])
    if failed:
        what = ["--faults", ",".join(names)] if names else ["--steps", str(max(summary["faults"], 1))]
        replay = ["--seed", str(seed), "--lasting", f"{given.lasting:g}", "--resume", f"{given.resume:g}", *what]
        log_progress("\n".join(["wrong:", *(f"  {complaint}" for complaint in summary["complaints"])]))
        log_progress(f"the same again: {shlex.join(['python', '-m', 'tests.acceptance.faults', *replay])}")
        log_progress(f"the programs' logs are in {directory}")
    elif not given.directory:
        shutil.rmtree(directory)
    return 1 if failed else 130 if summary["interrupted"] else 0


def _in_time(steps: Iterator[FaultStep], seconds: float) -> Iterator[FaultStep]:
    """Those that begin within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield next(steps)


if __name__ == "__main__":
    sys.exit(main())
