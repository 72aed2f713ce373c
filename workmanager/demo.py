"""The demo: start the whole system, hash real files on workers that come and go, and check every value.

`scripts/demo.sh [FILE...]` runs it. Without files, it takes those of the repository.
"""

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
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from workmanager.client import Client, Completed
from workmanager.commands.arguments import CommandParser, positive_int
from workmanager.commands.output import counted
from workmanager.errors import ClientError, UsageError, WorkManagerError
from workmanager.local.demo_system import running_system

UPLOAD_THREADS = 8
PULL_RESULTS = 100
STALLED_SECONDS = 120.0
"""Time without a single result after which the demo fails."""
SCALE_IN_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.3
PROGRESS_SECONDS = 1.0
SHOWN_DIGITS = 16
DEFAULT_ITERATIONS = 5_000
DEFAULT_MAX_WORKERS = 3
WHAT_NEXT = """
Try next:
  .venv/bin/workmanager up       the same system, to keep; its dashboard is http://127.0.0.1:5000/
  docs/tutorial.md               a function of your own, its errors, a schedule, workers that come and go
  .venv/bin/workmanager --help   all commands
"""


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every file's value came back and was right, 1 if not, 2 on a usage error, 130 if interrupted."""
    try:
        return _run(arguments)
    except WorkManagerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    files = _check_readable(options.file or repository_files(options.repository))
    with running_system(options.max_workers) as urls, Client(urls) as client:
        print(f"managers are ready: {' '.join(urls)}", flush=True)
        print(f"the dashboard, as long as the demo runs: {urls[0]}/", flush=True)
        uploads = _submit(client, files, options.iterations)
        progress = _Progress()
        right = _collect(client, uploads, options.iterations, progress)
        _wait_for_scale_in(client, progress)
    print(f"{right} of {len(uploads)} jobs completed", flush=True)
    if right < len(uploads):
        return 1
    print(WHAT_NEXT, end="", file=sys.stderr)  # Like every hint: what was asked for alone goes to standard output.
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="demo.sh", description=__doc__)
    parser.add_argument("file", nargs="*", type=Path, metavar="FILE", help="default: the files of the repository")
    parser.add_argument(
        "--iterations",
        type=positive_int,
        default=DEFAULT_ITERATIONS,
        metavar="N",
        help=f"hash each file N times over (default {DEFAULT_ITERATIONS:,})",
    )
    parser.add_argument(
        "--max-workers",
        type=positive_int,
        default=DEFAULT_MAX_WORKERS,
        metavar="N",
        help=f"start at most N worker processes (default {DEFAULT_MAX_WORKERS})",
    )
    parser.add_argument("--repository", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    return parser


def _check_readable(files: Sequence[Path]) -> Sequence[Path]:
    """Refuse a wrong file name before anything is started."""
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} is not a file")
        if not os.access(path, os.R_OK):
            raise UsageError(f"{path} is not readable")
    return files


def repository_files(root: Path) -> list[Path]:
    """Return the files that people wrote: those in git or, without git, those that no tool has generated."""
    if (root / ".git").exists() and shutil.which("git"):
        listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=False).stdout
        files = [root / os.fsdecode(name) for name in listing.split(b"\0") if name]
    else:
        files = [path for path in root.rglob("*") if not _is_generated(path.relative_to(root))]
    return sorted(path for path in files if path.is_file())


def _is_generated(path: Path) -> bool:
    """Return whether the file belongs to a virtual environment or a cache, judged by its name."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


@dataclass(frozen=True, slots=True)
class _Upload:
    """A submitted file, and its first SHA-512, from which the value is computed later."""

    path: Path
    digest: bytes


def _submit(client: Client, files: Sequence[Path], iterations: int) -> Mapping[str, _Upload]:
    """Submit every file. Return them by Work ID."""

    def submit(path: Path) -> tuple[str, _Upload]:
        data = path.read_bytes()
        try:
            return client.enqueue(data, iterations=iterations), _Upload(path, hashlib.sha512(data).digest())
        except ClientError as error:
            raise WorkManagerError(f"cannot submit {path}: {error}") from error

    with ThreadPoolExecutor(UPLOAD_THREADS) as threads:
        uploads = dict(threads.map(submit, files))
    submitted = f"{counted(len(uploads), 'file')} {'is' if len(uploads) == 1 else 'are'} submitted"
    print(f"{submitted}, for {iterations:,} iterations of SHA-512 each", flush=True)
    return uploads


def _collect(client: Client, uploads: Mapping[str, _Upload], iterations: int, progress: "_Progress") -> int:
    """Pull and check every result. Return how many were right."""
    completed = right = 0
    stalled_at = time.monotonic() + STALLED_SECONDS
    while completed < len(uploads):
        results = client.pull(PULL_RESULTS, order="oldest")
        if results and not completed:
            first = results[0]
            progress.show(f"the first value: {uploads[first.id].path.name} {str(first.value)[:SHOWN_DIGITS]}…")
        completed += len(results)
        right += sum(_is_right(result, uploads[result.id].digest, iterations) for result in results)
        progress.show_at_times(f"{completed} of {len(uploads)} completed, {counted(_workers(client), 'worker')}")
        if results:
            stalled_at = time.monotonic() + STALLED_SECONDS
            continue
        for job in client.jobs(status="failed"):
            raise WorkManagerError(f"job {job['id']} failed: {job['error']}")
        if time.monotonic() > stalled_at:
            raise WorkManagerError(f"no result for {STALLED_SECONDS:.0f} s; {len(uploads) - completed} are missing")
        time.sleep(POLL_SECONDS)
    return right


def _is_right(result: Completed, digest: bytes, iterations: int) -> bool:
    for _ in range(iterations - 1):
        digest = hashlib.sha512(digest).digest()
    right: bool = digest.hex() == result.value
    if not right:
        print(f"demo: wrong value for {result.id}: {result.value}", file=sys.stderr)
    return right


def _wait_for_scale_in(client: Client, progress: "_Progress") -> None:
    """Wait until the scaler has ended all workers."""
    deadline = time.monotonic() + SCALE_IN_TIMEOUT_SECONDS
    while workers := _workers(client):
        progress.show(f"nothing to do, {counted(workers, 'worker')}")
        if time.monotonic() > deadline:
            left = counted(workers, "worker")
            raise WorkManagerError(f"after {SCALE_IN_TIMEOUT_SECONDS:.0f} s without work, there are still {left}")
        time.sleep(POLL_SECONDS)
    progress.show("nothing to do, all workers have left")


def _workers(client: Client) -> int:
    return int(client.status()["Workers"])


class _Progress:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._started_at = self._shown_at = time.monotonic()
        self._last = ""

    def show_at_times(self, text: str) -> None:
        """Show one line in a second at most."""
        if time.monotonic() - self._shown_at >= PROGRESS_SECONDS:
            self.show(text)

    def show(self, text: str) -> None:
        """Show a line if its text is another one than before."""
        if text != self._last:
            self._shown_at = time.monotonic()
            print(f"{self._shown_at - self._started_at:6.1f} s  {text}", flush=True)
            self._last = text


def _stop_on_signals() -> None:
    """Treat stop signals as Ctrl-C, so that the system is stopped in order.

    SIGINT, too: Python handles it only if it was not ignored when the program started. A shell starts background
    commands (`demo.sh &`) with SIGINT ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_interrupt)


def _raise_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    _stop_on_signals()
    sys.exit(main(sys.argv[1:]))
