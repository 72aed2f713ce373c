"""The main job on real files: the whole system comes up, hashes them on workers that come and go, and is checked.

`python -m workmanager.demo [FILE...]`, which `scripts/demo.sh` runs. Without files, it takes the repository's own.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import NoReturn

from workmanager.client import Client, Completed
from workmanager.commands.arguments import CommandParser, positive_int
from workmanager.errors import ClientError, UsageError, WorkManagerError
from workmanager.local.demo_system import running_system

_SENDERS = 8
_PULL_RESULTS = 20
_STALLED_SECONDS = 120.0  # without a single result
_LEAVE_SECONDS = 120.0
_POLL_SECONDS = 0.3


def main(arguments: Sequence[str]) -> int:
    """0 when every file's value came back and was right. Errors are told in one line: 1, or 2 for wrong arguments."""
    try:
        return _demonstrate(arguments)
    except WorkManagerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _demonstrate(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    files = _readable(options.file or repository_files(options.repository))
    with running_system(options.max_workers) as urls, Client(urls) as client:
        print(f"managers are ready: {' '.join(urls)}", flush=True)
        digests = _feed(client, files, options.iterations)
        right = _collect(client, digests, options.iterations)
        _see_workers_leave(client)
    print(f"{right} of {len(digests)} jobs completed", flush=True)
    return 0 if right == len(digests) else 1


def _parser() -> CommandParser:
    parser = CommandParser(prog="demo.sh", description=__doc__)
    parser.add_argument("file", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--iterations", type=positive_int, default=20_000, help="of SHA-512 over each (default 20,000)")
    parser.add_argument("--max-workers", type=positive_int, default=3)
    parser.add_argument("--repository", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    return parser


def _readable(files: Sequence[Path]) -> Sequence[Path]:
    """The files, once it is sure that each can be read: nothing is started for a mistyped name."""
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} is no file")
        if not os.access(path, os.R_OK):
            raise UsageError(f"{path} cannot be read")
    return files


def repository_files(root: Path) -> list[Path]:
    """The files that people made, by git's account or, without git, by their names."""
    if (root / ".git").exists() and shutil.which("git"):
        listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=False).stdout
        files = [root / os.fsdecode(name) for name in listing.split(b"\0") if name]
    else:
        files = [path for path in root.rglob("*") if not _is_made(path.relative_to(root))]
    return sorted(path for path in files if path.is_file())


def _is_made(path: Path) -> bool:
    """Whether a tool made the file: environments, caches."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _feed(client: Client, files: Sequence[Path], iterations: int) -> Mapping[str, bytes]:
    """Puts every file in; the SHA-512 of what was sent by Work ID, from which the rest is computed later."""

    def put_in(path: Path) -> tuple[str, bytes]:
        data = path.read_bytes()
        try:
            return client.enqueue(data, iterations=iterations), hashlib.sha512(data).digest()
        except ClientError as error:
            raise WorkManagerError(f"{path} was not taken: {error}") from error

    with ThreadPoolExecutor(_SENDERS) as senders:
        digests = dict(senders.map(put_in, files))
    print(f"{len(digests)} files are in, for {iterations:,} iterations of SHA-512 each", flush=True)
    return digests


def _collect(client: Client, digests: Mapping[str, bytes], iterations: int) -> int:
    """Pulls every result as it comes and checks it; how many were right."""
    progress = _Progress()
    completed = right = 0
    stalled_at = time.monotonic() + _STALLED_SECONDS
    while completed < len(digests):
        pulled = client.pull(_PULL_RESULTS, order="oldest")
        completed += len(pulled)
        right += sum(_is_right(result, digests, iterations) for result in pulled)
        progress.show(f"{completed} of {len(digests)} completed, {_workers(client)} workers")
        if pulled:
            stalled_at = time.monotonic() + _STALLED_SECONDS
            continue
        for job in client.jobs(status="failed"):
            raise WorkManagerError(f"job {job['id']} failed: {job['error']}")
        if time.monotonic() > stalled_at:
            raise WorkManagerError(f"no result for {_STALLED_SECONDS:.0f} s, {len(digests) - completed} are missing")
        time.sleep(_POLL_SECONDS)
    return right


def _is_right(result: Completed, digests: Mapping[str, bytes], iterations: int) -> bool:
    digest = digests[result.id]
    for _ in range(iterations - 1):
        digest = hashlib.sha512(digest).digest()
    right: bool = digest.hex() == result.value
    if not right:
        print(f"demo: wrong value for {result.id}: {result.value}", file=sys.stderr)
    return right


def _see_workers_leave(client: Client) -> None:
    progress = _Progress()
    deadline = time.monotonic() + _LEAVE_SECONDS
    while workers := _workers(client):
        progress.show(f"nothing to do, {workers} workers")
        if time.monotonic() > deadline:
            raise WorkManagerError(f"{workers} workers are still there after {_LEAVE_SECONDS:.0f} s without work")
        time.sleep(_POLL_SECONDS)
    progress.show("nothing to do, all workers have left")


def _workers(client: Client) -> int:
    return int(client.status()["Workers"])


class _Progress:
    """A line whenever there is something new to say, with the seconds since the beginning."""

    def __init__(self) -> None:
        self._begun_at = time.monotonic()
        self._last = ""

    def show(self, text: str) -> None:
        if text != self._last:
            print(f"{time.monotonic() - self._begun_at:6.1f} s  {text}", flush=True)
            self._last = text


if __name__ == "__main__":
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _interrupt)
    sys.exit(main(sys.argv[1:]))
