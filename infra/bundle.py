"""`python -m infra.bundle --output DIR [--app DIR] [--architecture A] [--set NAME=VALUE]…`: what hosts boot from.

Prints the path of `DIR/SHA256.tar.gz`, named by its own content: the same sources make the same archive. In it:

    site/         the program, what `requirements.txt` pins for the target platform, and the user's own modules: a tree
                  for PYTHONPATH, so that a host needs neither pip nor an index
    infra/        what hosts run at boot and beside the program
    bundle.env    `WORKMANAGER_FUNCTIONS`, the user's modules, and what `--set NAME=VALUE` sets besides

`--app` is a directory of modules and packages whose public functions jobs may call; its `requirements.txt`, if there is
one, is installed too, and may not ask for other versions than the program's. Needs the network, and pip.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("jobqueue", "manager", "processes", "scaler", "worker_node", "workmanager")
HOST_FILES = ("infra/userdata", "infra/host")
PYTHON = "3.11"
GLIBC_MINOR_VERSIONS = range(34, 16, -1)
"""Amazon Linux 2023 has glibc 2.34."""
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""EC2's names of the architectures, and Python's."""


class BundleError(Exception):
    """The bundle cannot be made; the message says of what and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the bundle and prints its path; the exit code."""
    parser = argparse.ArgumentParser(prog="infra.bundle", description="Builds the archive that hosts boot from.")
    parser.add_argument("--output", type=Path, required=True, help="the directory for the archive")
    parser.add_argument("--app", type=Path, help="a directory of modules whose functions jobs may call")
    parser.add_argument("--architecture", choices=sorted(MACHINES), default="x86_64")
    parser.add_argument("--set", action="append", default=[], type=_setting, help="NAME=VALUE of WORKMANAGER_NAME")
    given = parser.parse_args(arguments)
    try:
        path = build(given.output, given.app, given.architecture, dict(given.set))
    except BundleError as error:
        sys.stderr.write(f"bundle: error: {error}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


def _setting(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Z][A-Z0-9_]*)=([^\n]*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return found[1].removeprefix("WORKMANAGER_"), found[2]


def build(output: Path, app: Path | None, architecture: str, settings: Mapping[str, str]) -> Path:
    """The path of the archive, made in `output`.

    Raises:
        BundleError: a package has no build for the platform, or the app does not fit.
    """
    with tempfile.TemporaryDirectory(prefix="bundle-") as made:
        tree = Path(made)
        site = tree / "site"
        modules = _app_modules(app) if app else []
        _install(site, app, architecture)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
        if app:
            _copy_app(app, site)
        for files in HOST_FILES:
            shutil.copytree(ROOT / files, tree / files, ignore=shutil.ignore_patterns("__pycache__"))
        named = {"FUNCTIONS": ",".join(modules), **settings}
        (tree / "bundle.env").write_text("".join(f"WORKMANAGER_{name}={named[name]}\n" for name in sorted(named)))
        archive = _archive(tree)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{hashlib.sha256(archive).hexdigest()}.tar.gz"
    path.write_bytes(archive)
    return path.resolve()


def pinned_requirements() -> str:
    """What requirements.txt names, for pip; without markers, which speak of the Python that reads them."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return "\n".join(line.split("#")[0].split(";")[0] for line in lines)


def pip_platform_options(architecture: str) -> list[str]:
    """The options by which pip takes builds for the hosts, and for no other platform."""
    machine = MACHINES[architecture]
    names = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINOR_VERSIONS]
    names += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    return [
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"),
        *(f"--platform={name}" for name in names),
    ]


def _install(site: Path, app: Path | None, architecture: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(pinned_requirements())
        requirements.flush()
        _pip(site, architecture, ["--no-deps", "-r", requirements.name], "requirements.txt")
        if app and (wanted := app / "requirements.txt").exists():
            _pip(site, architecture, ["-r", str(wanted), "-c", requirements.name], str(wanted))
    shutil.rmtree(site / "bin", ignore_errors=True)  # scripts, for the Python of this machine


def _pip(site: Path, architecture: str, wanted: list[str], source: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--upgrade", "--target", str(site), *pip_platform_options(architecture), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"pip cannot install {source} for {architecture}: {_last_error(done.stderr)}")


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return (errors or output.splitlines() or ["no reason given"])[-1]


def _app_modules(app: Path) -> list[str]:
    """The dotted names of the app's modules, in order.

    Raises:
        BundleError: there are none, or one has the name of a package of the program.
    """
    if not app.is_dir():
        raise BundleError(f"--app {app} is no directory")
    modules = []
    for path in _app_files(app):
        if path.suffix == ".py":
            parts = path.relative_to(app).with_suffix("").parts
            modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    taken = sorted({name.split(".")[0] for name in modules} & {*PACKAGES, *sys.stdlib_module_names})
    if taken:
        raise BundleError(f"--app {app}: the module name {taken[0]} is taken: give it another one")
    if not modules:
        raise BundleError(f"--app {app} has no Python modules")
    return sorted(modules)


def _app_files(app: Path) -> Iterator[Path]:
    """Top-level modules, and all that is in packages."""
    for entry in sorted(app.iterdir()):
        if entry.suffix == ".py":
            yield entry
        elif (entry / "__init__.py").exists():
            yield from (file for file in sorted(entry.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)


def _copy_app(app: Path, site: Path) -> None:
    for path in _app_files(app):
        target = site / path.relative_to(app)
        if target.exists():
            raise BundleError(f"--app {app}: {path.relative_to(app)} hides a file of a library: give it another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _archive(tree: Path) -> bytes:
    """A tar.gz in which only names, contents and the right to execute make a difference."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for path in sorted(tree.rglob("*")):
            entry = tarfile.TarInfo(str(path.relative_to(tree)))
            entry.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE
            entry.mode = 0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644
            if path.is_dir():
                archive.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main())
