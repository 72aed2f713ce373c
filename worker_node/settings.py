"""Settings and command line of a worker."""

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from jobqueue.settings import OneLineParser, QueueSettings, check_queues, exit_with_usage_error, load_settings
from outgoing.allow_list import AllowList
from worker_node.job_environment import parse_names
from worker_node.job_limits import LimitTable
from worker_node.job_user import JobUser, find_job_user
from worker_node.redaction import Redaction

_PORT = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


def _checked_allow_list(text: str) -> str:
    AllowList.parse(text)
    return text


def _checked_limits(text: str) -> str:
    LimitTable.parse(text)
    return text


class WorkerSettings(QueueSettings):
    """`WORKMANAGER_*` environment variables of a worker.

    Attributes:
        allow_pickle: whether pickled jobs run (RQ clients pickle by default). Anyone who can write to Redis can then
            run any code on this worker.
        drain_grace_seconds: how long running jobs may go on after SIGTERM or SIGINT.
        manager_timeout_seconds: a worker on an EC2 instance of its own stops if no manager has sent a heartbeat for
            this long.
        nice: CPU niceness of executor processes, see `worker_node/priority.py`.
        http_allow: what the function `http` may call besides public addresses. It is only checked here: the function
            reads the variable itself.
        executor_user: the user as whom executors run, '' for the agent's own, see `worker_node/job_user.py`.
        job_environment: which environment variables of the agent jobs see, see `worker_node/job_environment.py`.
        job_limits: what a job may use, see `worker_node/job_limits.py`.
        metrics_listen: host and port at which the worker's metrics are served; '' for nowhere.
        isolation: `job` runs each job in a process of its own, a fork of its executor; otherwise only those that ask
            for it.
        keep_output: which output of jobs is kept with them: `notable`, that of failures and of jobs that run for more
            than a second, `all` or `none`.
        job_log_level: of `logging` if jobs do not configure it.
        log_redact: regular expressions of secrets, see `worker_node/redaction.py`.
        executor_max_jobs, executor_max_growth_mib, executor_max_growth_files: an executor process that exceeds one of
            these is replaced, between two jobs.
    """

    allow_pickle: bool = False
    drain_grace_seconds: float = Field(default=30.0, ge=0.0)
    manager_timeout_seconds: float = Field(default=900.0, gt=0.0)
    nice: int = Field(default=0, ge=0, le=19)
    http_allow: Annotated[str, AfterValidator(_checked_allow_list)] = ""
    executor_user: str = ""
    job_environment: str = ""
    job_limits: Annotated[str, AfterValidator(_checked_limits)] = ""
    metrics_listen: str = Field(
        default="",
        pattern=rf"^(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):{_PORT})?$",
        description="HOST:PORT, such as 127.0.0.1:9105 or [::1]:9105, with a port from 0 to 65535",
    )
    isolation: Literal["none", "job"] = "none"
    keep_output: Literal["notable", "all", "none"] = "notable"
    job_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_redact: str = ""
    executor_max_jobs: int = Field(default=1_000_000, ge=1)
    executor_max_growth_mib: int = Field(default=512, ge=1)
    executor_max_growth_files: int = Field(default=256, ge=1)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Command-line options of a worker.

    Attributes:
        burst: exit when the queues are empty.
        fleet: the fleet that launched this worker; '' if a person started it.
        instance_id: this worker's instance in that fleet, or ''.
        parent_fd: the end of a liveness pipe that the worker inherited: it stops when its parent does.
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
        """Whether the worker has an EC2 instance of its own, which ends when the worker does."""
        return self.fleet.startswith("ec2:")


def read_settings(environ: Mapping[str, str]) -> WorkerSettings:
    """Return the settings; if one is wrong, exit with one line on stderr and exit code 2."""
    settings = load_settings(WorkerSettings, environ)
    try:
        parse_names(settings.job_environment)
    except ValueError as error:  # Not a validator's, whose message repeats the whole setting: values are secrets.
        exit_with_usage_error(f"WORKMANAGER_JOB_ENVIRONMENT: {error}")
    try:
        Redaction(settings.log_redact)
    except ValueError as error:  # A pattern can be a secret itself.
        exit_with_usage_error(f"WORKMANAGER_LOG_REDACT: {error}")
    return settings


def read_job_user(settings: WorkerSettings) -> JobUser:
    """Return the user as whom executors run; if there is none of that name, exit as `read_settings` does."""
    try:
        return find_job_user(settings.executor_user)
    except ValueError as error:
        exit_with_usage_error(f"WORKMANAGER_EXECUTOR_USER: {error}")


def config_option(arguments: Sequence[str] | None) -> str | None:
    """Return what `--config` names: read before the other options, which have settings as their defaults."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    config: str | None = parser.parse_known_args(arguments)[0].config
    return config


def parse_options(arguments: Sequence[str] | None, settings: WorkerSettings) -> WorkerOptions:
    """Return the command-line options; if one is wrong, exit as `read_settings` does."""
    given = make_parser(settings).parse_args(arguments)
    return WorkerOptions(
        redis_url=given.redis_url,
        slots=given.slots,
        queues=given.queues,
        # An instance of a fleet has one worker, and the scaler finds its record by the id of the instance.
        name=given.name or given.instance_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
        burst=given.burst,
        fleet=given.fleet,
        instance_id=given.instance_id,
        parent_fd=given.parent_fd,
    )


def make_parser(settings: WorkerSettings) -> argparse.ArgumentParser:
    """Return the parser of the options. Their defaults are settings."""
    parser = OneLineParser(prog="workmanager worker", description="Run jobs from the queues.")
    parser.add_argument("--redis-url", default=settings.redis_url, help="default: the setting WORKMANAGER_REDIS_URL")
    parser.add_argument(
        "--slots",
        type=_positive,
        default=os.cpu_count() or 1,
        help="how many jobs run at the same time; default: the number of CPUs",
    )
    parser.add_argument(
        "--queues",
        type=_names,
        default=settings.queues,
        help="comma-separated, the highest priority first; '*': every queue in turn; default: the setting"
        " WORKMANAGER_QUEUES",
    )
    parser.add_argument(
        "--name", type=_name, help="default: the instance's id, or host name, process id and a random number"
    )
    parser.add_argument("--config", metavar="FILE", help="settings that the environment lacks, in YAML")
    parser.add_argument("--burst", action="store_true", help="exit when the queues are empty")
    parser.add_argument("--fleet", default="", help=argparse.SUPPRESS)
    parser.add_argument("--instance-id", default="", help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _name(text: str) -> str:
    if not text or any(character in text for character in ":,{} \t\n"):
        raise argparse.ArgumentTypeError(f"must not be empty or contain spaces, ',', ':', '{{' or '}}': {text!r}")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError("must name at least one queue")
    try:
        return check_queues(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
