"""`workmanager up`: run the whole system on this machine, in the foreground."""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from processes.liveness_pipe import parent_is_gone
from processes.logs import configure_logging_from
from processes.privacy import keep_memory_private
from processes.secrets import SecretError, read_secret
from processes.settings_file import CONFIG, SettingsFileError, with_settings_file
from workmanager.commands.arguments import CommandParser, positive_int
from workmanager.commands.output import counted
from workmanager.errors import UsageError
from workmanager.local.log_file import LogFile
from workmanager.local.system import LocalSystem, LocalSystemConfig

DEFAULT_PORT = 5000
_WHAT_NOW = """
  dashboard  {url}
  try        {command}
  log        {log} (warnings appear here, too)
  stop       Ctrl-C
"""


def main(arguments: Sequence[str]) -> int:
    """Print `ready URL...` when every manager is ready, then keep the system running.

    Ctrl-C, SIGTERM or SIGHUP stops it in order. A second signal kills what still runs a few seconds later.
    """
    keep_memory_private()
    options = make_parser().parse_args(arguments)
    if options.config is not None:
        os.environ[CONFIG] = options.config  # Also for managers and workers.
    try:
        environ = with_settings_file(os.environ)
        config = _config(options, environ)
    except SettingsFileError as error:
        raise UsageError(str(error)) from error
    _check_settings(config)
    configure_logging_from(environ)  # in the format of the managers, whose lines appear between these
    stop = _StopSignals(options.parent_fd)
    system = LocalSystem(config, stop_requested=lambda: stop.is_requested, stop_immediately=lambda: stop.is_repeated)
    log_file = _log_file(config) if sys.stderr.isatty() and not options.verbose else None
    try:
        if system.start():
            print("ready", *config.urls, flush=True)
            if log_file is not None:
                command = command_to_try(options.port)
                log_file.started(_WHAT_NOW.format(url=config.urls[0], command=command, log=log_file.path))
            system.supervise()
        if log_file is not None:
            log_file.say("stopping: running jobs may finish; Ctrl-C once more ends them")
    finally:
        system.stop()
        if log_file is not None:
            log_file.close()
    return 0


def command_to_try(port: int) -> str:
    """Return a first command to paste. It names the program if the shell finds that, else what started this run."""
    is_found = shutil.which("workmanager") is not None
    program = shlex.quote(sys.argv[0]) if sys.argv[0].endswith("workmanager") and not is_found else "workmanager"
    where = "" if port == DEFAULT_PORT else f" --url http://127.0.0.1:{port}"
    return f"{program} submit --function noop --wait{where}"


def _log_file(config: LocalSystemConfig) -> LogFile:
    path = config.data_dir / "workmanager.log"
    try:
        log_file = LogFile(path)
    except OSError as error:
        raise UsageError(f"the log cannot be written to {path}: {error.strerror}; see --data-dir, --verbose") from error
    log_file.say(f"starting {counted(config.managers, 'manager')}; all of the log is in {path}")
    return log_file


def _check_settings(config: LocalSystemConfig) -> None:
    """Refuse what managers or workers would refuse: once, and before anything is started."""
    modules = ["manager.check_settings", "worker_node.check_settings"]
    environ = dict(os.environ)
    if config.max_workers is not None:
        environ["WORKMANAGER_MAX_WORKERS"] = str(config.max_workers)
    if config.redis_url:
        modules.append("jobqueue.servers.check_url")
        environ["WORKMANAGER_REDIS_URL"] = config.redis_url  # not an argument, which other users can see
    checks = [
        subprocess.Popen([sys.executable, "-m", module], env=environ, stderr=subprocess.PIPE, text=True)
        for module in modules
    ]
    lines = [check.communicate()[1].rstrip().rpartition("\n")[2] for check in checks]
    for check, line in zip(checks, lines, strict=True):
        if check.returncode:
            raise UsageError(line)


class _StopSignals:
    """Counts stop signals, and notices when the process that started this one is gone."""

    def __init__(self, parent_fd: int | None) -> None:
        self._signals = 0
        self._parent_fd = parent_fd
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    @property
    def is_requested(self) -> bool:
        return self._signals > 0 or (self._parent_fd is not None and parent_is_gone(self._parent_fd))

    @property
    def is_repeated(self) -> bool:
        return self._signals > 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager up", description=__doc__)
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="P",
        help=f"port of the first manager; the others use the next ones (default {DEFAULT_PORT})",
    )
    parser.add_argument("--managers", type=positive_int, default=2, metavar="N", help="number of managers (default 2)")
    parser.add_argument("--max-workers", type=positive_int, metavar="N", help="start at most N worker processes")
    parser.add_argument("--cluster", action="store_true", help="run a Valkey cluster: three masters, three replicas")
    parser.add_argument("--redis-url", metavar="URL", help="use an existing Redis instead of the embedded Valkey")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="directory for the data of the embedded Valkey")
    parser.add_argument("--config", metavar="FILE", help="settings that the environment lacks, in YAML")
    parser.add_argument("--verbose", action="store_true", help="show the whole log, also on a terminal")
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _config(options: argparse.Namespace, environ: Mapping[str, str]) -> LocalSystemConfig:
    redis_url = options.redis_url or _redis_url(environ)
    for name in ("WORKMANAGER_WORKER_REDIS_URL", "WORKMANAGER_CLUSTER_URL"):
        if redis_url is None and any(environ.get(f"{name}{suffix}") for suffix in ("", "_FILE", "_SECRET")):
            raise UsageError(f"{name} belongs to an existing Redis: set WORKMANAGER_REDIS_URL as well")
    if redis_url and (options.cluster or options.data_dir):
        raise UsageError(
            "--cluster and --data-dir are for the embedded Valkey; omit them, or --redis-url and WORKMANAGER_REDIS_URL"
        )
    if not 1 <= options.port <= 65_536 - options.managers:
        raise UsageError(
            f"--port {options.port} is out of range: {options.managers} managers need ports from 1 to 65535"
        )
    return LocalSystemConfig(
        first_port=options.port,
        managers=options.managers,
        max_workers=options.max_workers,
        cluster=options.cluster,
        redis_url=redis_url,
        data_dir=(options.data_dir or _default_data_dir(environ)).absolute(),
    )


def _redis_url(environ: Mapping[str, str]) -> str | None:
    """Return the URL that the settings give, in any of the ways that a secret can be given; None if there is none."""
    name = "WORKMANAGER_REDIS_URL"
    try:
        url = environ.get(name) or read_secret(environ, name)
    except SecretError as error:
        raise UsageError(str(error)) from error
    if url is not None and not url.strip():  # The embedded server instead would be another queue.
        raise UsageError(f"{name} is empty, in its file or secret")
    return url


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "workmanager"
