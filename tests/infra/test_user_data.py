"""User data of the hosts: accepted by cloud-init, with packages from the right places."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.stack import deployed_stack
from tests.infra.test_stack import HOSTS

ROOT = Path(__file__).parents[2]
PARSE_USER_DATA = """
import sys
from cloudinit.handlers.shell_script import ShellScriptPartHandler
from cloudinit.user_data import UserDataProcessor
whole = UserDataProcessor({}).process(open(sys.argv[1]).read())
parts = [part for part in whole.walk() if not part.is_multipart()]
kept = parts[0].get_payload() == open(sys.argv[1]).read()
print([part.get_content_type() for part in parts], kept, ShellScriptPartHandler.prefixes)
"""


@pytest.fixture(scope="module")
def cloud_init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's cloud-init, unpacked but not installed: it would run at this machine's next boot."""
    directory = tmp_path_factory.mktemp("cloud-init")
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is missing: it brings cloud-init")
    if subprocess.run(
        ["apt-get", "download", "cloud-init"], cwd=directory, capture_output=True, check=False
    ).returncode:
        pytest.skip("apt-get cannot download cloud-init")
    (package,) = directory.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", str(package), str(directory)], check=True)
    return directory / "usr/lib/python3/dist-packages"


# `cloud-init schema` checks only cloud-config, not shell scripts.
def test_cloud_init_accepts_user_data_as_one_shell_script(cloud_init: Path, tmp_path: Path) -> None:
    with deployed_stack(tmp_path) as stack:
        texts = {host: stack.user_data(host) for host in HOSTS}
    for host, text in texts.items():
        (tmp_path / host).write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", PARSE_USER_DATA, str(tmp_path / host)],
            env={"PYTHONPATH": str(cloud_init)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "['text/x-shellscript'] True ['#!']\n", host
        subprocess.run(["bash", "-n", str(tmp_path / host)], check=True)


# Like the real dnf: a package from no repository is refused unless its key was imported.
DNF = """#!/bin/bash
echo "dnf $*" >>"$STATE/calls"
case "$*" in
*--downloadonly*) touch "$(sed 's/.*--downloaddir=\\([^ ]*\\).*/\\1/' <<<"$*")/python3.11.rpm" ;;
*--disablerepo=*localpkg_gpgcheck=1*.rpm) [ -e "$STATE/key" ] ;;
*--disablerepo=*) exit 1 ;;
esac
"""
RPM = """#!/bin/bash
[ "$*" = '--import /etc/pki/rpm-gpg/RPM-GPG-KEY-amazon-linux-2023' ] && touch "$STATE/key"
"""
AWS = """#!/bin/bash
echo "aws $*" >>"$STATE/calls"
cp "$4" "$STATE/runtime.tar"
"""
MANAGERS = "install_packages; leave_runtime"


@pytest.mark.parametrize(
    ("stores", "commands", "installs_a_server", "leaves_python"),
    [
        ("6379:manager", MANAGERS, True, True),
        ("", MANAGERS, False, True),  # with an existing Redis
        ("6379:witness", "install_packages", True, False),  # it must not write to the bucket
    ],
    ids=["manager", "manager without a Redis of its own", "witness"],
)
def test_packages_come_from_the_distribution_and_managers_share_python(
    tmp_path: Path, stores: str, commands: str, installs_a_server: bool, leaves_python: bool
) -> None:
    calls = _boot(tmp_path, f'STORES="{stores}"; {commands}')
    downloaded, installed, *others = calls
    assert downloaded.startswith("dnf install --assumeyes --quiet --downloadonly")
    assert downloaded.endswith(" python3.11")
    assert "--disablerepo=*" in installed
    assert ("dnf install --assumeyes --quiet valkey" in others) == installs_a_server
    left = [call for call in others if call.startswith("aws s3 cp")]
    assert [call.split()[-1] for call in left] == (["s3://b/runtime/ami-1.tar"] if leaves_python else [])
    scripts = {name: (ROOT / f"infra/userdata/{name}.sh").read_text() for name in ("manager", "witness")}
    assert "\ninstall_packages\nleave_runtime\n" in scripts["manager"]
    assert "leave_runtime" not in scripts["witness"]


def test_a_worker_installs_the_packages_that_a_manager_left(tmp_path: Path) -> None:
    _boot(tmp_path, f'STORES=""; {MANAGERS}')
    (tmp_path / "state/key").unlink()
    (tmp_path / "state/calls").unlink()
    common, text = ((ROOT / f"infra/userdata/{name}.sh").read_text() for name in ("common", "worker"))
    part = text[text.index("if ! command -v python3.11") : text.index("say runtime_ready")]
    calls = _boot(tmp_path, part, aws=AWS.replace('cp "$4" "$STATE/runtime.tar"', 'cp "$STATE/runtime.tar" "$5"'))
    fetched, installed = calls
    assert fetched.split()[:5] == ["aws", "s3", "cp", "--only-show-errors", "s3://b/runtime/ami-1.tar"]
    assert installed.startswith("dnf install --assumeyes --quiet --disablerepo=* --setopt=localpkg_gpgcheck=1 ")
    # Nothing else in a worker's boot, nor its unit, names a package index.
    unit = (ROOT / "infra/host/units/workmanager-worker.service").read_text()
    rest = common.replace("http://169.254.169.254", "") + text.replace(part, "") + unit
    assert re.findall(r"\b(pip|dnf|yum|https?:)\b", rest) == []


def _boot(tmp_path: Path, commands: str, **programs: str) -> list[str]:
    """Return the calls of programs on a host without Python 3.11 that runs these commands."""
    state, path = tmp_path / "state", tmp_path / "bin"
    state.mkdir(exist_ok=True)
    path.mkdir(exist_ok=True)
    for name, text in {
        "dnf": DNF,
        "rpm": RPM,
        "aws": AWS,
        **{name.lower(): text for name, text in programs.items()},
    }.items():
        (path / name).write_text(text)
        (path / name).chmod(0o755)
    for name in ("bash", "mkdir", "tar", "touch", "sed", "cp", "mktemp", "rm"):
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(shutil.which(name) or name)
    script = f"""
set -euo pipefail
work="$(mktemp -d -p "$STATE")"
RUNTIMES=s3://b/runtime
say() {{ :; }}
metadata() {{ echo "ami-1"; }}
patiently() {{ "$@"; }}
. {ROOT}/infra/host/boot.sh
{commands}
"""
    subprocess.run(
        [str(path / "bash"), "-c", script], env={"PATH": str(path), "STATE": str(state)}, check=True, timeout=60
    )
    return (state / "calls").read_text().splitlines()
