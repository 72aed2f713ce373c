"""`workmanager up`: the whole system on one machine, in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from processes.liveness_pipe import parent_is_gone
from processes.logs import configure_logging
from workmanager.commands.arguments import CommandParser, positive_int
from workmanager.errors import UsageError
from workmanager.local.system import LocalSystem, LocalSystemConfig


def main(arguments: Sequence[str]) -> int:
    """Prints `ready URL...` when every manager answers.

    Ctrl-C or SIGTERM ends it in order; a second one within seconds, whatever still runs then.
    """
    options = _parser().parse_args(arguments)
    plan = _plan(options, os.environ)
    _configure_logging()
    end = _End(options.parent_fd)
    system = LocalSystem(plan, stop_requested=lambda: end.wanted, stop_immediately=lambda: end.hurried)
    try:
        if system.start():
            print("ready", *plan.urls, flush=True)
            system.supervise()
    finally:
        system.stop()
    return 0


def _configure_logging() -> None:
    """Log as the managers do, whose lines appear between these."""
    configure_logging()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every question whether one is ready


class _End:
    """Whether the system is to end: a signal came, or the process that started it is gone."""

    def __init__(self, parent_fd: int | None) -> None:
        self._signals = 0
        self._parent_fd = parent_fd
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    @property
    def wanted(self) -> bool:
        return self._signals > 0 or (self._parent_fd is not None and parent_is_gone(self._parent_fd))

    @property
    def hurried(self) -> bool:
        return self._signals > 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1


def _parser() -> CommandParser:
    parser = CommandParser(prog="workmanager up", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="the first manager's; the others take the next ones")
    parser.add_argument("--managers", type=positive_int, default=2)
    parser.add_argument("--max-workers", type=positive_int, help="worker processes at most")
    parser.add_argument("--cluster", action="store_true", help="three Valkey masters and three replicas")
    parser.add_argument("--redis-url", help="an existing server or cluster instead of an embedded one")
    parser.add_argument("--data-dir", type=Path, help="where the embedded one keeps the jobs")
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _plan(options: argparse.Namespace, environ: Mapping[str, str]) -> LocalSystemConfig:
    redis_url = options.redis_url or environ.get("WORKMANAGER_REDIS_URL")
    if redis_url and (options.cluster or options.data_dir):
        raise UsageError("--cluster and --data-dir are for an embedded server, and a Redis URL is given")
    if not 1 <= options.port <= 65_536 - options.managers:
        raise UsageError(f"--port {options.port} is not a port, or leaves no room for {options.managers} managers")
    return LocalSystemConfig(
        first_port=options.port,
        managers=options.managers,
        max_workers=options.max_workers,
        cluster=options.cluster,
        redis_url=redis_url,
        data_dir=(options.data_dir or _default_data_dir(environ)).absolute(),
    )


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "workmanager"
