"""Limits the memory of a process by a control group of its own, see cgroups(7): beyond it, the kernel kills.

Needs Linux and root.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.waiting import until

_VERSION_1, _VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextmanager
def limited_memory(pid: int, size: int) -> Iterator[None]:
    """Let a process and those that it starts take `size` bytes more. Skips the test where that is impossible."""
    is_new = (_VERSION_2 / "cgroup.controllers").exists()
    group = (_VERSION_2 if is_new else _VERSION_1) / f"workmanager-test-{pid}"
    try:
        if is_new:
            (_VERSION_2 / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for memory can be made: {error}")
    try:
        (group / ("memory.max" if is_new else "memory.limit_in_bytes")).write_text(str(size))
        with suppress(OSError):  # There is no such file on a machine without swap.
            (group / ("memory.swap.max" if is_new else "memory.memsw.limit_in_bytes")).write_text(
                "0" if is_new else str(size)
            )
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), wanted="the end of the processes in the control group")
        group.rmdir()
