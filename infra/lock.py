"""`python -m infra.lock`: write requirements-bundle.txt, the packages of hosts with the hashes of their files, and
requirements-bundle-otel.txt, those of the extra `otel`.

pip installs a file for hosts only if its hash is in these lists. So a package index, or whoever is between it and the
machine that runs setup.sh, cannot exchange what runs on hosts. Run this after each change of requirements.txt or
requirements-otel.txt, and read the difference. Needs pip 22.2 or newer, and the network.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra.bundle import LOCK, MACHINES, OTEL_LOCK, pinned_requirements, pip_platform_options
from infra.sbom import normalized

HEADER = """\
# What hosts install{when}: the packages of {file}, with the hashes of their files for x86_64 and arm64.
# Written by `python -m infra.lock`. Do not edit.
"""
SOURCES = {LOCK: ("requirements.txt", ""), OTEL_LOCK: ("requirements-otel.txt", " if they send traces")}
"""The requirements that each lock is made of, and when hosts install it."""


def main() -> int:
    """Write the files and return the exit code."""
    for lock, (file, when) in SOURCES.items():
        with tempfile.TemporaryDirectory() as directory:
            reports = [_resolve(file, architecture, Path(directory)) for architecture in sorted(MACHINES)]
        lock.write_text(HEADER.format(file=file, when=when) + render(reports))
    return 0


def render(reports: Iterable[Mapping[str, Any]]) -> str:
    """Return the locked packages, given a report of `pip install --report` for each architecture."""
    hashes: dict[str, set[str]] = {}
    for report in reports:
        for item in report["install"]:
            requirement = f"{normalized(item['metadata']['name'])}=={item['metadata']['version']}"
            hashes.setdefault(requirement, set()).add(item["download_info"]["archive_info"]["hashes"]["sha256"])
    lines = [
        " \\\n    ".join((requirement, *(f"--hash=sha256:{digest}" for digest in sorted(digests))))
        for requirement, digests in sorted(hashes.items())
    ]
    return "".join(f"{line}\n" for line in lines)


def _resolve(file: str, architecture: str, directory: Path) -> Any:
    """Return pip's report on what it would install."""
    pins, report = directory / "pins.txt", directory / f"{architecture}.json"
    pins.write_text(pinned_requirements(file))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    command += ["--no-deps", "--ignore-installed", "--target", str(directory / "site"), "--report", str(report)]
    subprocess.run([*command, *pip_platform_options(architecture), "-r", str(pins)], check=True)
    return json.loads(report.read_text())


if __name__ == "__main__":
    sys.exit(main())
