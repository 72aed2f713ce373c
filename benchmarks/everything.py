"""Runs every benchmark in turn, keeps what they say in `benchmarks/results`, and publishes it: an hour and more."""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.harness.measured_programs import ROOT
from benchmarks.publish import ORDER, RESULTS
from benchmarks.publish import main as publish


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each in less than two minutes")
    parser.add_argument("--runs", type=int, help="of every contestant; default: each benchmark's own number")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ORDER)}; default: all")
    given = parser.parse_args()
    unknown = set(given.names) - set(ORDER)
    if unknown:
        parser.error(f"no benchmark: {', '.join(sorted(unknown))}")
    RESULTS.mkdir(exist_ok=True)
    for name in given.names or ORDER:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        command += ["--quick"] if given.quick else []
        command += ["--runs", str(given.runs)] if given.runs else []
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        # Only now: what was cut short replaces nothing.
        (RESULTS / f"{name}.jsonl").write_bytes(done.stdout)
    publish()


if __name__ == "__main__":
    main()
