"""The whole system on a simulated EC2, with its invariants: no busy worker is terminated, and the limit holds."""

import fcntl
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from jobqueue.model import DEFAULT_QUEUE
from tests.acceptance.ec2.worker_image import LEASE_SECONDS
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until
from workmanager.client import Client

WORKER_TAGS = {"workmanager:role": "worker"}
INSTANCE_TYPES = ("c7g.large", "m7g.large")


class Ec2System:
    """Managers, and a cloud whose instances are their workers.

    Args:
        directory: directory shared with the instances.
        settings: the managers' settings, WORKMANAGER_<NAME> by name.

    Attributes:
        terminated_while_busy: instances that the scaler terminated while they ran a job, with the job's name.
    """

    def __init__(self, directory: Path, cloud: SimulatedCloud, redis_url: str, template: str, **settings: str) -> None:
        self.cloud = cloud
        self.directory = directory
        self.redis_url = redis_url
        self.template = template
        self.managers: list[ManagerProgram] = []
        self.terminated_while_busy: list[str] = []
        for name in ("running", "started", "gates"):
            (directory / name).mkdir()
            (directory / name).chmod(0o777)
        zones = cloud.subnets()
        self.max_workers = int(settings.get("MAX_WORKERS", "4"))
        self._settings = {
            "FUNCTIONS": "tests.acceptance.ec2.instance_jobs",
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "LAUNCH_TEMPLATE": template,
            "SUBNETS": ",".join(zones[zone] for zone in ("us-east-1a", "us-east-1b")),
            "INSTANCE_TYPES": ",".join(INSTANCE_TYPES),
            "MAX_WORKERS": "4",
            "WORKER_SLOTS": str(os.cpu_count()),
            "BOOT_TIMEOUT_SECONDS": "120",
            **settings,
        }
        cloud.events.before_termination = self._note_busy_instances
        self._jobs: list[str] = []

    def start_manager(self) -> ManagerProgram:
        """Start another manager and wait until it is ready."""
        manager = ManagerProgram(
            self.directory.parent / "managers",
            self.redis_url,
            ("--scaler", "ec2"),
            module="tests.acceptance.ec2.fast_manager",
            **self._settings,
        )
        self.managers.append(manager)
        return manager.wait_until_ready()

    def leader(self) -> ManagerProgram:
        """Wait for a leader and return it."""
        address = until(lambda: self.get_json("/scaler").get("leader"), wanted="a leader")
        return next(manager for manager in self.managers if str(address).endswith(f":{manager.port}"))

    def submit(self, count: int, seconds: float, *, gated: bool = False) -> list[str]:
        """Submit jobs of this duration, or if `gated`, jobs that run until `open_gates`; return their names."""
        names = [f"job{len(self._jobs) + number}" for number in range(count)]
        for name in names if gated else ():
            (self.directory / "gates" / name).touch()
        function = "tests.acceptance.ec2.instance_jobs.work"
        args = ([str(self.directory), name, seconds] for name in names)
        with self._client() as client:
            for answer in client.submit_many([{"function": function, "args": each} for each in args]):
                assert isinstance(answer, str), answer
        self._jobs += names
        return names

    def open_gates(self) -> None:
        """Let the gated jobs end."""
        for gate in (self.directory / "gates").iterdir():
            gate.unlink()

    def hosts_started_on(self, name: str) -> list[str]:
        """Return the hosts on which a job was started, in order."""
        path = self.directory / "started" / name
        return path.read_text().split() if path.exists() else []

    def instance_id_of(self, host_name: str) -> str:
        """Return the id of the instance with this host name."""
        machines = self.cloud.machines.all()
        return next(id_ for id_, machine in machines.items() if machine.host_name == host_name)

    def count_finished(self) -> int:
        """Return the number of finished jobs."""
        queues = {queue["name"]: queue for queue in self.get_json("/queues").get("queues", ())}
        return int(queues[DEFAULT_QUEUE]["finished"]) if DEFAULT_QUEUE in queues else 0

    def attempts(self) -> list[int]:
        """Return each job's counted attempts, including those of lost workers."""
        return [int(job["attempts"]) for job in self.get_json("/jobs?limit=1000")["jobs"]]

    def wait_until_done(self, seconds: float = 120.0) -> None:
        """Wait until every submitted job has finished."""
        until(lambda: self.count_finished() == len(self._jobs), seconds, wanted=f"{len(self._jobs)} jobs done")

    def wait_until_no_instances(self, seconds: float = 120.0) -> None:
        """Wait until no instance is left."""
        until(lambda: not self.cloud.events.alive, seconds, wanted="the end of all instances")

    def assert_invariants(self) -> None:
        """Check the invariants of every test: no busy worker was terminated, and the limit held."""
        assert self.terminated_while_busy == []
        assert self.cloud.events.max_alive(WORKER_TAGS) <= self.max_workers
        for manager in self.managers:
            assert "Traceback" not in manager.log, manager.log

    def close(self) -> None:
        """Kill the managers."""
        for manager in self.managers:
            manager.process.send_signal(signal.SIGCONT)  # a test may have paused it
            manager.kill()

    def get_json(self, path: str) -> dict[str, Any]:
        """Return the answer of the first manager that gives one; {} if none does."""
        for manager in self.managers:
            try:
                # Without TLS there are no certificates to read, which takes longer than a request.
                answer = httpx.get(f"{manager.url}{path}", timeout=5.0, verify=False)
            except httpx.HTTPError:
                continue
            if answer.is_success:
                return dict(answer.json())
        return {}

    def _client(self) -> Client:
        return Client([manager.url for manager in self.managers if manager.process.poll() is None])

    def _note_busy_instances(self, instance_ids: Sequence[str]) -> None:
        machines = self.cloud.machines.all()
        for instance_id in instance_ids:
            if instance_id in machines and not machines[instance_id].has_crashed:
                running = self.directory / "running" / machines[instance_id].host_name
                self.terminated_while_busy += [f"{instance_id}: {path.name}" for path in _locked_in(running)]


def _locked_in(directory: Path) -> list[Path]:
    """Return the directory's files that a process has locked."""
    locked = []
    for path in directory.iterdir() if directory.exists() else ():
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            locked.append(path)
        except FileNotFoundError:
            continue
    return locked
