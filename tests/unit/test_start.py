"""What programs do not import when they start: libraries that cost time, and that most runs never use."""

import os
import subprocess
import sys

import pytest

from workmanager.commands.exit_codes import UNAVAILABLE


@pytest.mark.parametrize(
    ("program", "library"),
    [
        ("manager.__main__", "boto3"),
        ("worker_node.__main__", "rq"),
        # A command that is wrong, or is asked for help, sends nothing.
        ("workmanager.client", "http.client"),
        # `up` asks its managers in a lighter way.
        ("workmanager.commands.up", "httpx"),
        ("worker_node.executor.__main__", "redis"),
        # These run code of their own in each fork for an isolated job, or make it copy more.
        *(("worker_node.executor.__main__", library) for library in ("threading", "logging", "random", "argparse")),
    ],
)
def test_a_program_starts_without_a_library_that_it_may_never_use(program: str, library: str) -> None:
    code = f"import sys, {program}; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


SLOW_TO_IMPORT = {
    *("httpx", "asyncio", "subprocess", "certifi", "urllib.request", "logging", "pathlib"),
    *("inspect", "ast", "dis"),  # imported by dataclasses
    *("shutil", "zlib", "bz2", "lzma"),  # imported by argparse for the width of a terminal
}


def test_a_command_asks_a_manager_without_libraries_that_take_long_to_import() -> None:
    code = f"""import sys
from workmanager.__main__ import main
sys.argv = ["workmanager", "ack", "a", "--url", "http://127.0.0.1:1"]
from workmanager.commands import arguments
arguments.RETRY_SECONDS = 0
print(main(), {SLOW_TO_IMPORT!r} & sys.modules.keys() or "none")
"""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{UNAVAILABLE} none\n"
