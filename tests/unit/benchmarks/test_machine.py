"""Whose processor time it is."""

from __future__ import annotations

import subprocess
import sys

_SPIN = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
# A parent that ends at once and leaves a child behind that works; the child's end closes the pipe.
_ORPHANED = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_SPIN!r}])"
_MEASURED = f"""
import subprocess, sys
from benchmarks.harness.machine import CpuSnapshot
begin = CpuSnapshot.take()
subprocess.run([sys.executable, "-c", {_ORPHANED!r}], stdout=subprocess.PIPE, check=True)
end = CpuSnapshot.take()
print(end.own_seconds - begin.own_seconds)
"""


def test_the_time_of_orphans_is_our_own() -> None:
    done = subprocess.run([sys.executable, "-c", _MEASURED], capture_output=True, text=True, timeout=30, check=True)
    assert float(done.stdout) >= 0.35
