"""A simulated instance that really runs: its user data is executed in its own Linux namespaces, as on EC2."""

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

_INSTANCE_FILES = Path(__file__).parent / "instance"
_COMMANDS = {
    "systemctl.py": ("usr/bin/systemctl", "usr/sbin/shutdown", "usr/sbin/poweroff", "usr/sbin/halt"),
    "dnf.sh": ("usr/bin/dnf", "usr/bin/yum", "usr/bin/rpm"),
    "aws.py": ("usr/bin/aws",),
    "python.sh": ("usr/bin/python3.11",),
}
"""Replacements for commands of the machine image: file in `instance/`, paths on the instance."""
_BOOT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """The configuration of a machine.

    Attributes:
        metadata: initial content of its metadata service (see `MetadataService`).
        environ: environment of every process on it.
        shared: directories that it shares with this machine.
        commands: additional programs: text by path.
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
    """One instance with its own processes, network and disk.

    The machine dies with the thread that created it (parent-death signal), so that thread must outlive it.

    Attributes:
        metadata: its metadata service.
        host_name: its own host name.
        has_crashed: whether all its processes are dead while EC2 still says `running`.
    """

    def __init__(self, spec: MachineSpec, directory: Path) -> None:
        self.instance_id = spec.instance_id
        self._directory = directory
        self.host_name = "ip-" + spec.address.replace(".", "-")
        self.has_crashed = False
        self._link = f"v{zlib.crc32(spec.instance_id.encode()):08x}"
        self._prepare(spec)
        self._addresses = {spec.address}
        self._process = self._boot(spec)
        connect_instance(self._process.pid, spec.address, self._link)
        with in_network_of(self._process.pid):
            subprocess.run(["ip", "address", "add", "169.254.169.254/32", "dev", "lo"], check=True)
            # On EC2 it is not the instance's own address: rules of the instance come before it.
            subprocess.run(["ip", "rule", "add", "priority", "1000", "lookup", "local"], check=True)
            subprocess.run(["ip", "rule", "delete", "priority", "0"], check=True)
            self.metadata = MetadataService(spec.metadata, token_required=spec.token_required)
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()

    @property
    def console(self) -> str:
        """The output on its console so far."""
        path = self._directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether it runs. A crashed machine counts as running, because EC2 does not see the difference."""
        return self.has_crashed or self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of a process in its namespaces while it runs."""
        return self._process.pid

    def add_address(self, address: str) -> None:
        """Add the address of an attached network interface; ignored if the machine has it."""
        if address not in self._addresses:
            self._addresses.add(address)
            add_address(self._process.pid, address, self._link)

    def press_power_button(self) -> None:
        """Ask the machine to stop its services and power off."""
        self._signal_init(signal.SIGTERM)

    def crash(self) -> None:
        """Kill all processes on the machine at once."""
        self.has_crashed = True
        self._signal_init(signal.SIGKILL)
        self._process.wait()

    def cut_power(self) -> None:
        """Stop the machine and its metadata service at once."""
        self.has_crashed = False
        self._process.kill()
        self._process.wait()
        self.metadata.close()

    def _signal_init(self, number: int) -> None:
        with suppress(ProcessLookupError, FileNotFoundError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), number)

    def _prepare(self, spec: MachineSpec) -> None:
        seed = self._directory / "seed"
        cloud_init = seed / "var/lib/cloud/instance"
        cloud_init.mkdir(parents=True)
        (cloud_init / "user-data.txt").write_bytes(spec.user_data)
        library = seed / "usr/lib/instance"
        library.mkdir(parents=True)
        shutil.copy(_INSTANCE_FILES / "init.py", library)
        for part, paths in _COMMANDS.items():
            text = (
                (_INSTANCE_FILES / part).read_text().replace("PYTHON", _python(), 1).replace("VENV", sys.executable, 1)
            )
            for path in (seed / name for name in paths):
                _write_program(path, text)
        for name, text in spec.commands.items():
            _write_program(seed / name, text)

    def _boot(self, spec: MachineSpec) -> subprocess.Popen[bytes]:
        namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc"]
        environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "INSTANCE_HOSTNAME": self.host_name,
            **spec.environ,
        }
        with (self._directory / "console.log").open("wb") as console:
            process = subprocess.Popen(
                # Both end with their parent: unshare with this process, the instance's process 1 with unshare.
                [
                    *("setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--fork", "--kill-child", "--"),
                    *(
                        "bash",
                        str(_INSTANCE_FILES / "boot.sh"),
                        str(self._directory),
                        _python(),
                        *map(str, spec.shared),
                    ),
                ],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        mine, deadline = Path("/proc/thread-self/ns/net").readlink(), time.monotonic() + _BOOT_TIMEOUT_SECONDS
        while Path(f"/proc/{process.pid}/ns/net").readlink() == mine:
            assert time.monotonic() < deadline, (
                f"{self.instance_id} has no network namespace after {_BOOT_TIMEOUT_SECONDS} s"
            )
            time.sleep(0.002)
        return process


def _write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _python() -> str:
    """This Python without its virtual environment, as an operating system has it."""
    return os.path.realpath(sys.executable)
