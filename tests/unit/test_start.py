"""What programs do not import when they start: libraries that cost time, and that most runs never use."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("program", "library"),
    [
        ("manager.__main__", "boto3"),
        ("worker_node.__main__", "rq"),
        # A command that is wrong, or is asked for help, sends nothing.
        ("workmanager.client", "httpx"),
        # `up` asks its managers in a lighter way.
        ("workmanager.commands.up", "httpx"),
        ("worker_node.executor.__main__", "redis"),
        # These run code of their own in each fork for an isolated job.
        *(("worker_node.executor.__main__", library) for library in ("threading", "logging", "random")),
    ],
)
def test_a_program_starts_without_a_library_that_it_may_never_use(program: str, library: str) -> None:
    code = f"import sys, {program}; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
