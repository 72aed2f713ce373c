"""`python -m manager`: run one manager, the HTTP server in front of the queue."""

import argparse
import errno
import logging
import os
import socket
import sys
from collections.abc import Sequence

import uvloop

from jobqueue.settings import OneLineParser, load_settings
from manager.check_settings import check_settings, check_worker_settings, load_functions
from manager.http.listener import listen
from manager.server import ManagerServer, ServerOptions
from manager.settings import ManagerSettings
from manager.siblings.group import ProcessGroup
from manager.siblings.main_process import MainProcess
from manager.siblings.sibling import Sibling
from processes.logs import configure_logging, tell_unknown_settings
from processes.privacy import keep_memory_private
from processes.settings_file import CONFIG

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the manager; return the exit code: 0 stopped as told, 1 failed, 2 usage error."""
    keep_memory_private()
    given = make_parser().parse_args(arguments)
    if given.config is not None:
        os.environ[CONFIG] = given.config  # Also for the workers that this manager starts.
    environ = dict(os.environ)
    if given.redis_url is not None:
        environ["WORKMANAGER_REDIS_URL"] = given.redis_url
    if given.root_path is not None:
        environ["WORKMANAGER_ROOT_PATH"] = given.root_path
    if given.allowed_hosts is not None:
        environ["WORKMANAGER_ALLOWED_HOSTS"] = given.allowed_hosts
    if given.processes is not None:
        environ["WORKMANAGER_PROCESSES"] = given.processes
    settings = load_settings(ManagerSettings, environ)
    check_settings(settings, host=given.host, scaler=given.scaler)
    if given.scaler == "local" and given.parent_fd is None and given.sibling_fds is None:  # Else they were checked.
        check_worker_settings()
    functions = load_functions(settings)
    collector = configure_logging(settings.log_format, settings.log_to)
    if given.sibling_fds is None:  # Else the main process has told of them.
        tell_unknown_settings(os.environ)
    for module, reason in functions.unreadable.items():
        log.error("event=functions_unreadable module=%s reason=%r: jobs of this module are refused", module, reason)
    # The libraries log every start and every scheduler tick: only their errors matter.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    group = ProcessGroup()
    if given.sibling_fds is not None:
        listener, group = _as_sibling(*map(int, given.sibling_fds.split(",")), size=settings.processes)
    else:
        try:
            listener = listen(given.host, given.port)
        except OSError as error:
            is_in_use = error.errno == errno.EADDRINUSE
            reason = "the port is in use; choose another with --port" if is_in_use else error.strerror or str(error)
            sys.stderr.write(f"cannot listen on {given.host}:{given.port}: {reason}\n")
            return 1
        if settings.processes > 1:
            inherited = [] if given.parent_fd is None else [given.parent_fd]
            own_arguments = sys.argv[1:] if arguments is None else arguments
            group = MainProcess(settings.processes, listener, own_arguments, inherited)
    options = ServerOptions(given.host, given.port, given.scaler, given.parent_fd)

    async def run() -> int:
        return await ManagerServer(options, settings, functions, listener, collector, group).run()

    return uvloop.run(run())


def _as_sibling(listener_fd: int, channel_fd: int, *, size: int) -> tuple[socket.socket, Sibling]:
    listener, end = socket.socket(fileno=listener_fd), socket.socket(fileno=channel_fd)
    return listener, Sibling(end, size)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = OneLineParser(
        prog="workmanager manager",
        description="Run one manager: the HTTP API of the queue, its maintenance, and the scaler.",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1; any other needs WORKMANAGER_API_KEYS)",
    )
    parser.add_argument("--port", type=_port, default=5000, help="port to listen on, 0 for a free one (default 5000)")
    parser.add_argument(
        "--redis-url", help="Redis, or cluster seeds separated by commas (default: WORKMANAGER_REDIS_URL)"
    )
    parser.add_argument(
        "--root-path", help="path prefix under which a proxy makes it available (default: WORKMANAGER_ROOT_PATH)"
    )
    parser.add_argument(
        "--allowed-hosts",
        help="host names that clients may ask for, separated by commas (default: WORKMANAGER_ALLOWED_HOSTS)",
    )
    parser.add_argument(
        "--scaler", choices=("ec2", "local", "none"), default="none", help="where to launch workers (default none)"
    )
    parser.add_argument("--config", metavar="FILE", help="settings that the environment lacks, in YAML")
    parser.add_argument(
        "--processes",
        metavar="N",
        help="processes that serve the port, with one scaler (default: WORKMANAGER_PROCESSES, else 1)",
    )
    # The listening socket, and the channel to the main process, which has started this one.
    parser.add_argument("--sibling-fds", help=argparse.SUPPRESS)
    # Liveness pipe of the program that started it: it stops when the other end closes.
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number (0 to 65535)")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
