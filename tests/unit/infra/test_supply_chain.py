"""What hosts install is locked by hashes, listed in a bill of materials, and checked for known vulnerabilities."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from infra import audit, bundle, tracing
from infra.deployed import read_bundle
from infra.lock import SOURCES, normalized, render
from infra.sbom import bill_of_materials

_ENTRY = re.compile(r"([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


@pytest.mark.parametrize("lock", SOURCES, ids=lambda lock: lock.name)
def test_every_pinned_package_is_locked_in_the_same_version(lock: Path) -> None:
    file, _ = SOURCES[lock]
    pins = dict(line.strip().split("==") for line in bundle.pinned_requirements(file).splitlines() if line.strip())
    locked = {name: version for name, version, _ in _ENTRY.findall(lock.read_text())}
    assert locked == {normalized(name): version for name, version in pins.items()}, (
        f"run `python -m infra.lock` after a change of {file}"
    )


@pytest.mark.parametrize("lock", SOURCES, ids=lambda lock: lock.name)
def test_the_lock_has_nothing_besides_versions_and_hashes(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines(keepends=True) if not line.startswith("#")]
    assert _ENTRY.sub("", "".join(lines)) == ""


def test_a_package_has_the_hashes_of_all_architectures() -> None:
    def report(*files: tuple[str, str, str]) -> dict[str, Any]:
        return {
            "install": [
                {
                    "metadata": {"name": name, "version": version},
                    "download_info": {"archive_info": {"hashes": {"sha256": digest}}},
                }
                for name, version, digest in files
            ]
        }

    written = render([report(("B_b", "1", "aa"), ("a", "2", "cc")), report(("B_b", "1", "bb"), ("a", "2", "cc"))])
    assert written.endswith("a==2 \\\n    --hash=sha256:cc\nb-b==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n")


def _wheel(directory: Path, content: str, name: str = "sample") -> Path:
    """Write a package of version 1.0 and return its file."""
    path = directory / f"{name}-1.0-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", content)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packages that is all that pip knows, and locks for the packages in it."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for constant, name in (("LOCK", "sample"), ("OTEL_LOCK", "traces")):
        digest = hashlib.sha256(_wheel(tmp_path, "right = True\n", name).read_bytes()).hexdigest()
        lock = tmp_path / f"{name}.txt"
        lock.write_text(f"{name}==1.0 --hash=sha256:{digest}\n")
        monkeypatch.setattr(bundle, constant, lock)
    return tmp_path


def test_a_bundle_has_the_locked_files_and_lists_them(index: Path) -> None:
    archive = bundle.build(index / "out", None, "x86_64", {})
    shown = subprocess.run(["tar", "-xzOf", archive, "sbom.cdx.json"], capture_output=True, check=True)
    assert [each["purl"] for each in json.loads(shown.stdout)["components"]] == ["pkg:pypi/sample@1.0"]
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.split()
    assert {"site/sample.py", "site/outgoing/guard.py"} <= set(listed)


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.internal:4318"}


@pytest.mark.parametrize(
    ("settings", "is_traced"),
    [
        ({}, False),
        ({"TRACES": "off", **COLLECTOR}, False),
        ({"TRACES": "linked", **COLLECTOR}, True),
        ({"TRACES": "joined", **COLLECTOR}, True),
    ],
)
def test_a_bundle_of_hosts_that_send_traces_has_the_packages_and_settings_for_that(
    index: Path, settings: dict[str, str], is_traced: bool
) -> None:
    archive = bundle.build(index / "out", None, "arm64", settings)
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.split()
    assert ("site/traces.py" in listed) == is_traced
    shown = subprocess.run(["tar", "-xzOf", archive, "bundle.env"], capture_output=True, text=True, check=True).stdout
    variables = {name if name.startswith("OTEL_") else f"WORKMANAGER_{name}": value for name, value in settings.items()}
    assert dict(line.split("=", 1) for line in shown.splitlines()) == {"WORKMANAGER_FUNCTIONS": "", **variables}
    # A later run keeps them.
    assert read_bundle(archive, index / "kept") == ({"FUNCTIONS": "", **settings}, False)


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 443),
        ({"TRACES": "off", **COLLECTOR}, 443),
        ({"TRACES": "linked", **COLLECTOR}, 4318),
        ({"TRACES": "linked", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example/v1"}, 443),
        ({"TRACES": "linked", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, 80),
        ({"TRACES": "linked", **COLLECTOR, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:9000/t"}, 9000),
    ],
)
def test_hosts_reach_the_port_of_the_collector(settings: dict[str, str], port: int) -> None:
    assert tracing.collector_port(settings) == port


@pytest.mark.parametrize("url", ["", "collector:4318", "http://", "http://collector:port"])
def test_traces_need_a_collector(index: Path, url: str) -> None:
    with pytest.raises(bundle.BundleError):
        bundle.build(index / "out", None, "x86_64", {"TRACES": "linked", "OTEL_EXPORTER_OTLP_ENDPOINT": url})


def test_a_file_that_was_exchanged_is_not_bundled(index: Path) -> None:
    _wheel(index, "right = False\n")
    with pytest.raises(bundle.BundleError, match=r"sample\.txt .* DO NOT MATCH THE HASHES"):
        bundle.build(index / "out", None, "x86_64", {})
    assert not (index / "out").exists()


def test_the_bill_of_materials_is_valid_and_always_the_same(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for number, license_ in enumerate(("License-Expression: MIT OR Apache-2.0\n", "License: as you like\n", "")):
        package = site / f"Some_Package{number}-1.{number}.dist-info"
        package.mkdir(parents=True)
        (package / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: Some_Package{number}\nVersion: 1.{number}\n{license_}"
        )
    document = bill_of_materials(site)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    assert document == bill_of_materials(site)
    assert [each["purl"] for each in json.loads(document)["components"]] == [
        f"pkg:pypi/some-package{number}@1.{number}" for number in range(3)
    ]


def _dependency(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", **fields}


@pytest.mark.parametrize(
    ("packages", "code", "message"),
    [
        ([_dependency("a", vulns=[])], 0, "no known vulnerability in 1 packages"),
        ([_dependency("a", vulns=[]), _dependency("b", skip_reason="?")], 0, "in 1 packages; 1 are not known"),
        (
            [_dependency("a", skip_reason="?")],
            0,
            "nothing was audited: the advisory database does not answer",
        ),
        ([_dependency("a", vulns=[{"id": "X-1", "fix_versions": ["1.1"]}])], 1, "a 1.0: X-1, fixed in 1.1"),
        ([_dependency("a", vulns=[{"id": "X-1", "fix_versions": []}])], 1, "a 1.0: X-1, fixed in no version"),
    ],
)
def test_the_audit_fails_if_a_package_is_known_to_be_vulnerable(
    packages: list[dict[str, Any]], code: int, message: str
) -> None:
    judged = audit.judge(json.dumps({"dependencies": packages}), "")
    assert (judged[0], message in judged[1]) == (code, True), judged


def test_an_audit_without_a_network_says_so_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    command = [sys.executable, "-m", "infra.audit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("audit: nothing was audited: the advisory database does not answer (")
