"""`python -m tests.rq_suite [FILE...]`: download RQ's source distribution, and run its tests with our worker.

Nothing of it is kept. Prints what became of each test in which our worker ran, and how many others there are.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from workmanager.local.valkey import ValkeyServer

ROOT = Path(__file__).parents[2]
FILES = (
    *("test_callbacks.py", "test_dependencies.py", "test_job_dependency.py", "test_group.py", "test_rate_limit.py"),
    *("test_repeat.py", "test_retry.py", "test_queue_unique.py", "test_webhooks.py", "test_commands.py"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests; return the exit code: 0 if all could be run, whatever became of them."""
    parser = argparse.ArgumentParser(prog="tests.rq_suite", description=__doc__)
    parser.add_argument("files", nargs="*", default=FILES, metavar="FILE", help="of RQ's tests (default: %(default)s)")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only tests that match, as for pytest")
    parser.add_argument("-v", action="store_true", help="show why tests fail")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="rq-tests-") as directory:
        source = _download(Path(directory))
        server = ValkeyServer(Path(directory) / "valkey")
        server.start()
        command = [sys.executable, str(Path(__file__).parent / "commands_manager.py"), server.url]
        manager = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert manager.stdout is not None
            manager.stdout.readline()
            _adapt(source / "tests", server.port)
            return _run(source, [f"tests/{name}" for name in options.files], options.k, shows_errors=options.v)
        finally:
            manager.terminate()
            manager.wait()
            server.stop()


def _download(directory: Path) -> Path:
    wanted = f"rq=={version('rq')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "rq"]
    subprocess.run([*pip, "--dest", str(directory), wanted], check=True)
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


def _adapt(tests: Path, port: int) -> None:
    """Let the tests use our server; let callbacks open connections of their own, as docs/rq.md says."""
    package = tests / "__init__.py"
    text = package.read_text()
    text = text.replace("range(4, 17)", "range(0, 1)").replace("{'db': dbnum}", f"{{'db': dbnum, 'port': {port}}}")
    package.write_text(text.replace("Redis()", f"Redis(port={port})"))
    fixtures = tests / "fixtures.py"
    text = re.sub(r"(?m)^    connection\.set\(", f"    Redis(port={port}).set(", fixtures.read_text())
    fixtures.write_text(text)


def _run(source: Path, files: Sequence[str], expression: str, *, shows_errors: bool) -> int:
    own_directory = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (source, own_directory, ROOT)))}
    command = [sys.executable, "-m", "pytest", "-p", "rq_suite_plugin", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options = ["-q", "--no-header", "--no-summary", "--tb=short" if shows_errors else "--tb=no", "-o", "addopts="]
    selection = ["-k", expression] if expression else []
    completed = subprocess.run([*command, *options, *selection, *files], cwd=source, env=environment, check=False)
    return 0 if completed.returncode in (0, 1) else completed.returncode


if __name__ == "__main__":
    sys.exit(main())
