"""`python -m manager`: the HTTP node as a program."""

import argparse
import ipaddress
import logging
import os
import sys
from collections.abc import Sequence

import boto3
import uvloop

from jobqueue.functions import FunctionRegistry, UnknownModule
from jobqueue.servers.topology import Topology
from jobqueue.servers.url import parse_redis_url
from jobqueue.settings import exit_with_usage_error, load_settings
from manager.cluster.slot_ranges import parse_hosts
from manager.server import ManagerServer, ServerOptions, listen
from manager.settings import ManagerSettings
from processes.logs import configure_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; its exit code: 0 told to end, 1 failed, 2 wrong usage."""
    given = _parser().parse_args(arguments)
    environ = dict(os.environ)
    if given.redis_url is not None:
        environ["WORKMANAGER_REDIS_URL"] = given.redis_url
    settings = load_settings(ManagerSettings, environ)
    _check(given, settings)
    try:
        functions = FunctionRegistry.discover(settings.functions)
    except UnknownModule as error:
        exit_with_usage_error(f"WORKMANAGER_FUNCTIONS: {error}")
    configure_logging()
    # What the libraries say of their everyday business is no event of ours.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    try:
        listener = listen(given.host, given.port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {given.host}:{given.port}: {error.strerror or error}\n")
        return 1
    options = ServerOptions(given.host, given.port, given.scaler, given.parent_fd)

    async def run() -> int:
        return await ManagerServer(options, settings, functions, listener).run()

    return uvloop.run(run())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manager", description="The HTTP node of the work manager.")
    parser.add_argument("--host", default="127.0.0.1", help="beyond loopback only with WORKMANAGER_API_KEYS")
    parser.add_argument("--port", type=_port, default=5000, help="0 takes a free one (default 5000)")
    parser.add_argument("--redis-url", help="default: WORKMANAGER_REDIS_URL; cluster seeds comma-separated")
    parser.add_argument("--scaler", choices=("ec2", "local", "none"), default="none", help="who launches workers")
    parser.add_argument("--parent-fd", type=int, help="a pipe whose end tells the program to end")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _check(given: argparse.Namespace, settings: ManagerSettings) -> None:
    if given.scaler == "ec2":
        _check_ec2(settings)
    if not settings.api_keys and not _is_loopback(given.host):
        exit_with_usage_error(f"--host {given.host} is beyond loopback: set WORKMANAGER_API_KEYS first")
    if settings.min_workers > settings.max_workers:
        exit_with_usage_error(
            f"WORKMANAGER_MIN_WORKERS: {settings.min_workers} is more than WORKMANAGER_MAX_WORKERS,"
            f" {settings.max_workers}"
        )
    if settings.budget_per_hour is not None and not settings.price_per_hour:
        exit_with_usage_error("WORKMANAGER_BUDGET_PER_HOUR: needs WORKMANAGER_PRICE_PER_HOUR, what an instance costs")
    for name, read in (
        ("REDIS_URL", lambda: Topology(settings.redis_url)),
        ("CLUSTER_URL", lambda: settings.cluster_url and parse_redis_url(settings.cluster_url)),
        ("CLUSTER_HOSTS", lambda: settings.cluster_hosts and parse_hosts(settings.cluster_hosts)),
    ):
        try:
            read()
        except ValueError as error:
            exit_with_usage_error(f"WORKMANAGER_{name}: {error}")


def _check_ec2(settings: ManagerSettings) -> None:
    if not settings.launch_template:
        exit_with_usage_error("WORKMANAGER_LAUNCH_TEMPLATE: --scaler ec2 needs the template to launch workers from")
    if boto3.Session().region_name is None:
        exit_with_usage_error("AWS_DEFAULT_REGION: --scaler ec2 needs the region to launch workers in")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
