"""`python -m infra.bundle --output DIR [--app DIR] [--architecture A] [--set NAME=VALUE]…`: build the hosts' archive.

Prints the path of `DIR/SHA256.tar.gz`. It is named by its content, and the same sources make the same archive:

    site/         the program, its locked packages for the target platform, and the user's own modules.
                  It is a directory for PYTHONPATH, so that hosts need neither pip nor a package index
    infra/        scripts and units of the hosts
    sbom.cdx.json the packages in `site`, as a CycloneDX bill of materials
    bundle.env    settings: `WORKMANAGER_FUNCTIONS` with the user's modules, and those options with `--set NAME=VALUE`.
                  With WORKMANAGER_TRACES, `site` has the packages of the extra `otel`, too
    app/          the sources of `--app`, for a later bundle of another version of the program (`infra/deployed.py`)

`--app` is a directory of modules and packages whose public functions jobs may call. Its `requirements.txt`, if there is
one, is installed, too. It must not require other versions than the program does. Needs pip and the network.
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

from infra import tracing
from infra.sbom import FILE as SBOM
from infra.sbom import bill_of_materials

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-bundle.txt"
OTEL_LOCK = ROOT / "requirements-bundle-otel.txt"
"""The packages of requirements.txt with the hashes of their files, and those of requirements-otel.txt, both written by
`infra/lock.py`."""
PACKAGES = ("jobqueue", "manager", "outgoing", "processes", "scaler", "worker_node", "workmanager")
HOST_FILES = ("infra/userdata", "infra/host")
PYTHON = "3.11"
GLIBC_MINOR_VERSIONS = range(34, 16, -1)
"""Amazon Linux 2023 has glibc 2.34."""
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Names of the architectures at EC2, and in Python's platform tags."""

COMPRESSION = 6
"""gzip's usual level: the highest one takes three times as long, and saves half a percent."""


class BundleError(Exception):
    """The bundle cannot be built; the message names the part and the reason."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the bundle, print its path, and return the exit code."""
    parser = argparse.ArgumentParser(prog="infra.bundle", description="Build the archive that hosts boot from.")
    parser.add_argument("--output", type=Path, required=True, help="directory for the archive")
    parser.add_argument("--app", type=Path, help="directory of modules whose functions jobs may call")
    parser.add_argument("--architecture", choices=sorted(MACHINES), default="x86_64")
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, help="NAME=VALUE of WORKMANAGER_NAME, or of OTEL_…"
    )
    options = parser.parse_args(arguments)
    try:
        path = build(options.output, options.app, options.architecture, dict(options.set))
    except BundleError as error:
        sys.stderr.write(f"bundle: error: {error}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


def _setting(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Z][A-Z0-9_]*)=([^\n]*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return match[1].removeprefix("WORKMANAGER_"), match[2]


def build(output: Path, app: Path | None, architecture: str, settings: Mapping[str, str]) -> Path:
    """Build the archive in `output` and return its path.

    Raises:
        BundleError: a package has no build for the platform, the app conflicts with the program, or traces have no
            collector.
    """
    try:
        tracing.collector_port(settings)
    except ValueError as error:
        raise BundleError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="bundle-") as directory:
        tree = Path(directory)
        site = tree / "site"
        modules = _app_modules(app) if app else []
        _install(site, app, architecture, [LOCK, OTEL_LOCK] if tracing.are_on(settings) else [LOCK])
        for package in PACKAGES:
            shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
        if app:
            _copy_app(app, site)
            _keep_app(app, tree / "app")
        for files in HOST_FILES:
            shutil.copytree(ROOT / files, tree / files, ignore=shutil.ignore_patterns("__pycache__"))
        (tree / SBOM).write_text(bill_of_materials(site))
        environment = {"FUNCTIONS": ",".join(modules), **settings}
        lines = [f"{tracing.variable_of(name)}={value}\n" for name, value in sorted(environment.items())]
        (tree / "bundle.env").write_text("".join(lines))
        archive = _archive(tree)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{hashlib.sha256(archive).hexdigest()}.tar.gz"
    path.write_bytes(archive)
    return path.resolve()


def pinned_requirements(file: str = "requirements.txt") -> str:
    """Return a file's requirements without environment markers, which pip evaluates for this machine's Python."""
    lines = (ROOT / file).read_text().splitlines()
    return "\n".join(line.split("#")[0].split(";")[0] for line in lines)


def pip_platform_options(architecture: str) -> list[str]:
    """Return pip's options for the hosts' platform."""
    machine = MACHINES[architecture]
    names = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINOR_VERSIONS]
    names += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    return [
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"),
        *(f"--platform={name}" for name in names),
    ]


def _install(site: Path, app: Path | None, architecture: str, locks: Sequence[Path]) -> None:
    options = [option for lock in locks for option in ("-r", str(lock))]
    names = " and ".join(lock.name for lock in locks)
    _pip(site, architecture, ["--no-deps", "--require-hashes", *options], names)
    if app and (app_requirements := app / "requirements.txt").exists():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
            pins.write(pinned_requirements())
            if OTEL_LOCK in locks:
                pins.write("\n" + pinned_requirements("requirements-otel.txt"))
            pins.flush()
            _pip(site, architecture, ["-r", str(app_requirements), "-c", pins.name], str(app_requirements))
    shutil.rmtree(site / "bin", ignore_errors=True)  # scripts for this machine's Python


def _pip(site: Path, architecture: str, arguments: list[str], source: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--upgrade", "--target", str(site), *pip_platform_options(architecture), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"pip cannot install {source} for {architecture}: {_last_error(done.stderr)}")


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return (errors or output.splitlines() or ["no reason options"])[-1]


def _app_modules(app: Path) -> list[str]:
    """Return the dotted names of the app's modules, sorted.

    Raises:
        BundleError: there are none, or one has the name of a package of the program or of Python.
    """
    if not app.is_dir():
        raise BundleError(f"--app {app} is not a directory")
    modules = []
    for path in _app_files(app):
        if path.suffix == ".py":
            parts = path.relative_to(app).with_suffix("").parts
            modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    taken = sorted({name.split(".")[0] for name in modules} & {*PACKAGES, *sys.stdlib_module_names})
    if taken:
        raise BundleError(
            f"--app {app}: the module name {taken[0]} is already used by the program or Python; rename the module"
        )
    if not modules:
        raise BundleError(f"--app {app} has no Python modules")
    return sorted(modules)


def _app_files(app: Path) -> Iterator[Path]:
    """Yield the top-level modules, and all files in packages."""
    for entry in sorted(app.iterdir()):
        if entry.suffix == ".py":
            yield entry
        elif (entry / "__init__.py").exists():
            yield from (file for file in sorted(entry.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)


def _copy_app(app: Path, site: Path) -> None:
    for path in _app_files(app):
        target = site / path.relative_to(app)
        if target.exists():
            raise BundleError(f"--app {app}: {path.relative_to(app)} would hide a file of a library; rename it")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _keep_app(app: Path, target: Path) -> None:
    for path in (*_app_files(app), app / "requirements.txt"):
        if path.exists():
            (target / path.relative_to(app)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / path.relative_to(app))


def _archive(tree: Path) -> bytes:
    """Return a reproducible tar.gz: it depends only on names, contents and executable bits."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=COMPRESSION, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
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
