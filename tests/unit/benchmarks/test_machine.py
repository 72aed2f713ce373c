"""Processor time is attributed to this process or to others."""

import subprocess
import sys

_SPIN = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
# The parent ends at once and leaves a working child behind; the child's end closes the pipe.
_ORPHANED = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_SPIN!r}])"
_MEASURED = f"""
import subprocess, sys
from benchmarks.harness.machine import CpuSnapshot
before = CpuSnapshot.take()
subprocess.run([sys.executable, "-c", {_ORPHANED!r}], stdout=subprocess.PIPE, check=True)
after = CpuSnapshot.take()
print(after.own_seconds - before.own_seconds)
"""


def test_the_time_of_orphaned_children_counts_as_own() -> None:
    done = subprocess.run([sys.executable, "-c", _MEASURED], capture_output=True, text=True, timeout=30, check=True)
    assert float(done.stdout) >= 0.35
