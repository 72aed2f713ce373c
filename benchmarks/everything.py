"""Run every benchmark in turn, keep the figures in `benchmarks/results` and publish them. Takes over an hour."""

import argparse
import subprocess
import sys

from benchmarks.harness.measured_programs import ROOT
from benchmarks.publish import ORDER, RESULTS
from benchmarks.publish import main as publish


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="finish each in less than two minutes")
    parser.add_argument("--runs", type=int, help="runs per contestant (default: set by each benchmark)")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"benchmarks to run (default: all): {', '.join(ORDER)}"
    )
    given = parser.parse_args()
    unknown = set(given.names) - set(ORDER)
    if unknown:
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    RESULTS.mkdir(exist_ok=True)
    for name in given.names or ORDER:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        command += ["--quick"] if given.quick else []
        command += ["--runs", str(given.runs)] if given.runs else []
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        # Written only now, so that an interrupted benchmark replaces nothing.
        (RESULTS / f"{name}.jsonl").write_bytes(done.stdout)
    publish()


if __name__ == "__main__":
    main()
