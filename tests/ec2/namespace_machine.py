"""A simulated instance that really runs: namespaces of its own, in which its user data is executed as on EC2."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.ec2.metadata_service import MetadataService
from tests.ec2.network import add_address, connect_instance, in_network_of

_PARTS = Path(__file__).parent / "instance"
_COMMANDS = {
    "systemctl.py": ("usr/bin/systemctl", "usr/sbin/shutdown", "usr/sbin/poweroff", "usr/sbin/halt"),
    "dnf.sh": ("usr/bin/dnf", "usr/bin/yum", "usr/bin/rpm"),
    "aws.py": ("usr/bin/aws",),
    "python.sh": ("usr/bin/python3.11",),
}
"""What stands in for commands of the image."""
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What a machine is made of.

    Attributes:
        metadata: what its metadata service says at first (see `MetadataService`).
        environ: what every process on it finds in its environment.
        shared: directories of this machine that it has in common with it.
        commands: programs that are on it besides: text by path.
    """

    instance_id: str
    address: str
    user_data: bytes
    metadata: Mapping[str, str]
    token_required: bool
    environ: Mapping[str, str]
    shared: Sequence[Path]
    commands: Mapping[str, str]


class NamespaceMachine:
    """One running instance.

    The thread that makes it must outlive it: when that thread ends, the machine does (it is all that holds it).

    Attributes:
        metadata: its metadata service.
        host_name: what it calls itself.
        has_crashed: whether everything on it is dead, while EC2 still says `running`.
    """

    def __init__(self, blueprint: MachineSpec, directory: Path) -> None:
        self.instance_id = blueprint.instance_id
        self._directory = directory
        self.host_name = "ip-" + blueprint.address.replace(".", "-")
        self.has_crashed = False
        self._link = f"v{zlib.crc32(blueprint.instance_id.encode()):08x}"
        self._prepare(blueprint)
        self._addresses = {blueprint.address}
        self._process = self._boot(blueprint)
        connect_instance(self._process.pid, blueprint.address, self._link)
        with in_network_of(self._process.pid):
            subprocess.run(["ip", "address", "add", "169.254.169.254/32", "dev", "lo"], check=True)
            self.metadata = MetadataService(blueprint.metadata, token_required=blueprint.token_required)
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()

    @property
    def console(self) -> str:
        """What has been written on its console."""
        path = self._directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether it runs. One that crashed counts as running: EC2 does not see the difference."""
        return self.has_crashed or self._process.poll() is None

    @property
    def pid(self) -> int:
        """A process in its namespaces, while it is on."""
        return self._process.pid

    def add_address(self, address: str) -> None:
        """Has this address, too, which it may have already: of a network interface that was attached."""
        if address not in self._addresses:
            self._addresses.add(address)
            add_address(self._process.pid, address, self._link)

    def press_power_button(self) -> None:
        """Asks it to stop its services and power off."""
        self._signal_init(signal.SIGTERM)

    def crash(self) -> None:
        """Kills everything on it at once."""
        self.has_crashed = True
        self._signal_init(signal.SIGKILL)
        self._process.wait()

    def cut_power(self) -> None:
        """Ends it, whatever it does, and all that belongs to it."""
        self.has_crashed = False
        self._process.kill()
        self._process.wait()
        self.metadata.close()

    def _signal_init(self, number: int) -> None:
        with suppress(ProcessLookupError, FileNotFoundError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), number)

    def _prepare(self, blueprint: MachineSpec) -> None:
        seed = self._directory / "seed"
        cloud_init = seed / "var/lib/cloud/instance"
        cloud_init.mkdir(parents=True)
        (cloud_init / "user-data.txt").write_bytes(blueprint.user_data)
        library = seed / "usr/lib/instance"
        library.mkdir(parents=True)
        shutil.copy(_PARTS / "init.py", library)
        for part, paths in _COMMANDS.items():
            text = (_PARTS / part).read_text().replace("PYTHON", _python(), 1).replace("VENV", sys.executable, 1)
            for path in (seed / name for name in paths):
                _write_program(path, text)
        for name, text in blueprint.commands.items():
            _write_program(seed / name, text)

    def _boot(self, blueprint: MachineSpec) -> subprocess.Popen[bytes]:
        namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc"]
        environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "INSTANCE_HOSTNAME": self.host_name,
            **blueprint.environ,
        }
        with (self._directory / "console.log").open("wb") as console:
            process = subprocess.Popen(
                # Neither outlives this process, nor the instance's process 1 the one above it.
                [
                    *("setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--fork", "--kill-child", "--"),
                    *("bash", str(_PARTS / "boot.sh"), str(self._directory), _python(), *map(str, blueprint.shared)),
                ],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        mine, deadline = Path("/proc/thread-self/ns/net").readlink(), time.monotonic() + _START_SECONDS
        while Path(f"/proc/{process.pid}/ns/net").readlink() == mine:
            assert time.monotonic() < deadline, f"{self.instance_id} does not boot"
            time.sleep(0.002)
        return process


def _write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _python() -> str:
    """This Python without its virtual environment, which is what an operating system has."""
    return os.path.realpath(sys.executable)
