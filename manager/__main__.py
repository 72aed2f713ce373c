"""`python -m manager`: run one manager, the HTTP server in front of the queue."""

import argparse
import ipaddress
import logging
import os
import sys
from collections.abc import Sequence

import uvloop

from jobqueue.functions import FunctionRegistry
from jobqueue.servers.topology import Topology
from jobqueue.servers.url import parse_redis_url
from jobqueue.settings import exit_with_usage_error, load_settings
from manager.cluster.slot_ranges import parse_hosts
from manager.http.authentication import MIN_KEY_CHARACTERS
from manager.http.listener import listen
from manager.http.request_origin import TrustedProxies
from manager.jwt.issuer import Issuer
from manager.server import ManagerServer, ServerOptions
from manager.settings import ManagerSettings
from processes.logs import configure_logging
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
    settings = load_settings(ManagerSettings, environ)
    _check(given, settings)
    functions = FunctionRegistry.load(settings.functions, reloads=settings.reload_functions)
    for reason in functions.missing.values():
        exit_with_usage_error(f"WORKMANAGER_FUNCTIONS: {reason}")
    collector = configure_logging(settings.log_format, settings.log_to)
    for module, reason in functions.unreadable.items():
        log.error("event=functions_unreadable module=%s reason=%r: jobs of this module are refused", module, reason)
    # The libraries log every start and every scheduler tick: only their errors matter.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        listener = listen(given.host, given.port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {given.host}:{given.port}: {error.strerror or error}\n")
        return 1
    options = ServerOptions(given.host, given.port, given.scaler, given.parent_fd)

    async def run() -> int:
        return await ManagerServer(options, settings, functions, listener, collector).run()

    return uvloop.run(run())


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="manager", description="Run one manager: the HTTP API of the queue, its maintenance, and the scaler."
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
    # Liveness pipe of the program that started it: it stops when the other end closes.
    parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number (0 to 65535)")
    return int(text)


def _check(given: argparse.Namespace, settings: ManagerSettings) -> None:
    if given.scaler == "ec2":
        _check_ec2(settings)
    if any(len(key) < MIN_KEY_CHARACTERS for key in settings.api_keys):
        # Without the key itself: it is a secret.
        exit_with_usage_error(f"WORKMANAGER_API_KEYS: a key has fewer than {MIN_KEY_CHARACTERS} characters")
    if not settings.api_keys and not _is_loopback(given.host):
        exit_with_usage_error(f"--host {given.host} is reachable from other machines: set WORKMANAGER_API_KEYS")
    if settings.oidc_issuer:
        _check_issuer(settings)
    elif settings.oidc_client_id:
        exit_with_usage_error("WORKMANAGER_OIDC_CLIENT_ID: set WORKMANAGER_OIDC_ISSUER, where people sign in")
    if settings.min_workers > settings.max_workers:
        exit_with_usage_error(
            f"WORKMANAGER_MIN_WORKERS: {settings.min_workers} is more than WORKMANAGER_MAX_WORKERS"
            f" ({settings.max_workers})"
        )
    if settings.budget_per_hour is not None and not settings.price_per_hour:
        exit_with_usage_error("WORKMANAGER_BUDGET_PER_HOUR: set WORKMANAGER_PRICE_PER_HOUR (of one instance) as well")
    for name, parse in (
        ("REDIS_URL", lambda: Topology(settings.redis_url)),
        ("CLUSTER_URL", lambda: settings.cluster_url and parse_redis_url(settings.cluster_url)),
        ("CLUSTER_HOSTS", lambda: settings.cluster_hosts and parse_hosts(settings.cluster_hosts)),
        ("TRUSTED_PROXIES", lambda: TrustedProxies(settings.trusted_proxies)),
        ("OIDC_ISSUER", lambda: Issuer.from_settings(settings)),
    ):
        try:
            parse()
        except ValueError as error:
            exit_with_usage_error(f"WORKMANAGER_{name}: {error}")


def _check_issuer(settings: ManagerSettings) -> None:
    if not settings.oidc_audience:
        # Without it, a token for any other service of the issuer would open this one.
        exit_with_usage_error("WORKMANAGER_OIDC_ISSUER: set WORKMANAGER_OIDC_AUDIENCE, which its tokens must name")
    if not settings.api_keys:
        exit_with_usage_error(
            "WORKMANAGER_OIDC_ISSUER: set WORKMANAGER_API_KEYS as well: without it, the manager lets everybody in"
        )


def _check_ec2(settings: ManagerSettings) -> None:
    if not settings.launch_template:
        exit_with_usage_error("WORKMANAGER_LAUNCH_TEMPLATE: --scaler ec2 needs the EC2 launch template of the workers")
    import boto3  # Here, because other managers start without it.

    if boto3.Session().region_name is None:
        exit_with_usage_error("AWS_DEFAULT_REGION: --scaler ec2 needs the AWS region of the workers")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
