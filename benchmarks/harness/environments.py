"""Virtual environments of the peers, created once under `.bench/` and separate from each other and the project."""

import fcntl
import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.measured_programs import ROOT, run_to_end

CACHE = ROOT / ".bench"
_INSTALL_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A peer's pinned packages, from PyPI or npm.

    Attributes:
        name: prefix of the directory's name.
        packages: requirements as pip or npm accepts them.
        node: whether the packages come from npm.
    """

    name: str
    packages: tuple[str, ...]
    node: bool = False

    @property
    def directory(self) -> Path:
        """The environment's directory. Its name changes with the packages and, for Python, with the interpreter."""
        content = " ".join((*self.packages, "" if self.node else sys.version))
        return CACHE / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.directory / "bin" / "python")

    def program(self, name: str) -> str:
        """Return the path of a command that one of the packages installs."""
        return str(self.directory / "bin" / name)

    def ensure(self) -> None:
        """Install the packages unless they are installed. Waits if another process is installing them.

        Raises:
            ProgramEnded: pip or npm failed; the message has its output.
        """
        CACHE.mkdir(exist_ok=True)
        with self.directory.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._ensure()

    def _ensure(self) -> None:
        done = self.directory / "installed"
        if done.exists():
            return
        sys.stderr.write(f"installing {', '.join(self.packages)}\n")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if self.node:
            # Without one, npm would use a package.json of a parent directory.
            (self.directory / "package.json").write_text('{"private": true}\n')
            flags = [
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                str(self.directory),
            ]
            run_to_end([_find_program("npm"), "install", *flags, *self.packages], seconds=_INSTALL_SECONDS)
        else:
            run_to_end([sys.executable, "-m", "venv", str(self.directory)], seconds=_INSTALL_SECONDS)
            run_to_end([self.python, "-m", "pip", "install", "--quiet", *self.packages], seconds=_INSTALL_SECONDS)
        done.touch()


def _find_program(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"{program} is not installed; one of this benchmark's peers needs it")
    return path


# Every peer that uses redis-py gets its C parser.
RQ = Environment("rq", ("rq==3.0.0", "redis==8.1.0", "hiredis==3.5.0"))
CELERY = Environment("celery", ("celery[redis]==5.7.0", "redis==8.1.0", "hiredis==3.5.0"))
DRAMATIQ = Environment("dramatiq", ("dramatiq==2.2.1", "redis==8.1.0", "hiredis==3.5.0"))
HUEY = Environment("huey", ("huey==3.5.4", "redis==8.1.0", "hiredis==3.5.0"))
ARQ = Environment("arq", ("arq==0.28.0", "hiredis==3.5.0"))
BULLMQ = Environment("bullmq", ("bullmq@6.7.0", "ioredis@6.0.0"), node=True)
FASTAPI_RQ = Environment(
    "fastapi-rq",
    (
        *("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0"),
        *("rq==3.0.0", "redis==8.1.0", "hiredis==3.5.0"),
    ),
)
