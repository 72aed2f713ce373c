"""What is deployed, so that a later run of setup.sh keeps what an earlier one was asked for.

`python -m infra.deployed --program`: print the SHA-256 of all that this version of workmanager deploys: template,
program, host scripts, pinned packages.
`python -m infra.deployed --bundle FILE --output DIR`: write the sources of `--app` in that bundle to DIR, if there are
any, and print the settings of `--set`, NAME=VALUE, a line each. Exit code 1, with the reason, if it lacks the sources.
`python -m infra.deployed --bundle FILE --traces-port`: print the port of the collector of traces (`infra/tracing.py`).
"""

import argparse
import hashlib
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra import tracing
from infra.bundle import HOST_FILES, PACKAGES, ROOT, pinned_requirements
from infra.template import render

FUNCTIONS = "FUNCTIONS"
"""Set by the bundle itself, from the modules of `--app`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(prog="infra.deployed", description="Tell what is deployed.")
    parser.add_argument("--program", action="store_true")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--traces-port", action="store_true")
    options = parser.parse_args(arguments)
    if options.program:
        sys.stdout.write(f"{program_sha256()}\n")
        return 0
    if options.traces_port:
        with tempfile.TemporaryDirectory() as directory:
            settings, _ = read_bundle(options.bundle, Path(directory))
        sys.stdout.write(f"{tracing.collector_port(settings)}\n")
        return 0
    settings, has_app = read_bundle(options.bundle, options.output)
    functions = settings.pop(FUNCTIONS, "")
    if functions and not has_app:
        sys.stderr.write(f"the deployed bundle has no sources of {functions}; give --app again, or --app none\n")
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in settings.items()))
    return int(bool(functions) and not has_app)


def program_sha256() -> str:
    """Return the digest of this version of the program and of its deployment."""
    digest = hashlib.sha256(render().encode())
    for file in ("requirements.txt", "requirements-otel.txt"):
        digest.update(pinned_requirements(file).encode())
    for path in sorted(_program_files()):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _program_files() -> Iterator[Path]:
    for folder in (*PACKAGES, *HOST_FILES):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def read_bundle(bundle: Path, output: Path) -> tuple[dict[str, str], bool]:
    """Write the bundle's sources of `--app` to `output`; return its settings, and whether there are sources."""
    settings: dict[str, str] = {}
    has_app = False
    with tarfile.open(bundle) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isfile() else None
            if file is None:
                continue
            if entry.name.removeprefix("./") == "bundle.env":
                lines = file.read().decode().splitlines()
                settings = dict(tracing.setting_of(line).split("=", 1) for line in lines if "=" in line)
            elif entry.name.startswith("app/") and ".." not in Path(entry.name).parts:
                has_app = True
                target = output / entry.name.removeprefix("app/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read())
    return settings, has_app


if __name__ == "__main__":
    sys.exit(main())
