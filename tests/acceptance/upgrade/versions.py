"""The source tree of a version, and its programs as processes."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobqueue.acl import CLUSTER_PREFIX, PLAIN_PREFIX

_ROOT = Path(__file__).parents[3]
_END_SECONDS = 90.0


class Version:
    """The sources of one revision. Its programs run with the packages of this environment.

    Args:
        revision: of this repository; the sources as they are if it is empty.
        directory: where sources of earlier revisions are unpacked.
    """

    def __init__(self, revision: str, directory: Path) -> None:
        self.name = revision or "now"
        self.tree = _ROOT
        if revision:
            self.tree = directory / revision
            self.tree.mkdir(parents=True)
            archive = subprocess.run(["git", "archive", revision], cwd=_ROOT, check=True, capture_output=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(self.tree, filter="data")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a module of this version. It runs in `tree`."""
        return [sys.executable, "-m", *arguments]

    def users(self, directory: Path, passwords: Mapping[str, str], *, in_cluster: bool) -> list[str]:
        """Return the lines of a users file for the Redis users that this version wants, without that of `default`."""
        options = []
        for role, password in passwords.items():
            (directory / f"{role}.password").write_text(password)
            options += ["--password", f"{role}={directory / f'{role}.password'}"]
        command = self.command("jobqueue.acl", *options)
        text = subprocess.run(command, cwd=self.tree, env=self.environment({}), check=True, capture_output=True).stdout
        lines = text.decode().splitlines()
        if not in_cluster:
            # `--plain` does the same, in versions that have it.
            lines = [line.replace(CLUSTER_PREFIX, PLAIN_PREFIX) for line in lines]
        return [line for line in lines if not line.startswith("user default")]

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return this process's environment, with these settings of ours alone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
        given = {f"WORKMANAGER_{name}": value for name, value in settings.items()}
        return kept | given | {"PYTHONPATH": str(self.tree)}


class Program:
    """A running program of a version; its log is appended to a file named after it."""

    def __init__(
        self, name: str, version: Version, arguments: Sequence[str], settings: Mapping[str, str], directory: Path
    ) -> None:
        self.version = version
        self.log_path = directory / f"{name}-{version.name}.log"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                version.command(*arguments),
                cwd=version.tree,
                env=version.environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop it as a deployment does.

        Raises:
            AssertionError: it did not end with exit code 0.
        """
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_END_SECONDS)
        assert code == 0, f"{self.log_path.name}: exit code {code}"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def errors(self) -> list[str]:
        """Return the lines of its log that tell of a crash or an error."""
        lines = self.log_path.read_text().splitlines()
        wrong = (" ERROR ", "Traceback", "NOPERM", "status=500")
        return [f"{self.log_path.name}: {line}" for line in lines if any(word in line for word in wrong)]
