"""The worker's settings and command line."""

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from jobqueue.model import DEFAULT_QUEUE
from jobqueue.settings import QueueSettings, load_settings


class WorkerSettings(QueueSettings):
    """`WORKMANAGER_*` as the worker reads them.

    Attributes:
        allow_pickle: whether pickled jobs (stock clients' default) run; whoever writes to Redis can then run any code.
        drain_grace_seconds: how long running jobs may go on when the worker is told to leave.
        orphan_seconds: how long a worker on an instance of a fleet bears with hearing no manager.
        nice: how far executors stand back for the machine's other programs, see `courtesy`.
        executor_max_jobs, executor_max_growth_mib: when an executor process is replaced, between two jobs.
    """

    allow_pickle: bool = False
    drain_grace_seconds: float = Field(default=30.0, ge=0.0)
    manager_timeout_seconds: float = Field(default=900.0, gt=0.0)
    nice: int = Field(default=0, ge=0, le=19)
    executor_max_jobs: int = Field(default=1_000_000, ge=1)
    executor_max_growth_mib: int = Field(default=512, ge=1)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The command line.

    Attributes:
        burst: leave when the queues are empty.
        fleet, instance_id: who launched this worker, and as what; '' where a person did.
        parent_fd: the read end of a pipe whose other end dies with the system that this worker belongs to.
    """

    redis_url: str
    slots: int
    queues: tuple[str, ...]
    name: str
    burst: bool
    fleet: str
    instance_id: str
    parent_fd: int | None

    @property
    def owns_instance(self) -> bool:
        """Whether the worker is all that its EC2 instance is for, so that the one leaves when the other does."""
        return self.fleet.startswith("ec2:")


def read_settings(environ: Mapping[str, str]) -> WorkerSettings:
    """The settings; a wrong one ends the program with one line and exit code 2."""
    return load_settings(WorkerSettings, environ)


def parse_options(arguments: Sequence[str] | None, settings: WorkerSettings) -> WorkerOptions:
    """The command line; a wrong one ends the program with exit code 2."""
    parser = argparse.ArgumentParser(prog="worker_node", description="Runs jobs.")
    parser.add_argument("--redis-url", default=settings.redis_url, help="default: WORKMANAGER_REDIS_URL")
    parser.add_argument("--slots", type=_positive, default=os.cpu_count() or 1, help="jobs at a time")
    parser.add_argument(
        "--queues", type=_names, default=(DEFAULT_QUEUE,), help="comma-separated, the first comes first"
    )
    parser.add_argument(
        "--name", type=_name, help="default: its instance's id, or host, process id and a random number"
    )
    parser.add_argument("--burst", action="store_true", help="leave when the queues are empty")
    parser.add_argument("--fleet", default="", help=argparse.SUPPRESS)
    parser.add_argument("--instance-id", default="", help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    return WorkerOptions(
        redis_url=given.redis_url,
        slots=given.slots,
        queues=given.queues,
        # On an instance of a fleet there is one worker, and whoever scales the fleet knows it by the instance's id.
        name=given.name or given.instance_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
        burst=given.burst,
        fleet=given.fleet,
        instance_id=given.instance_id,
        parent_fd=given.parent_fd,
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _name(text: str) -> str:
    if not text or any(character in text for character in ":,{} \t\n"):
        raise argparse.ArgumentTypeError(f"not a name: {text!r}")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError("at least one")
    return names
