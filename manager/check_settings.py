"""Which settings of a manager do not fit together. `python -m manager.check_settings` tells it without a manager.

`workmanager up` runs that before it starts anything: a manager alone needs seconds until it has read its settings.
"""

import ipaddress
import os
import subprocess
import sys

from jobqueue.functions import FunctionRegistry
from jobqueue.servers.login import ROLES
from jobqueue.servers.topology import Topology
from jobqueue.servers.url import parse_redis_url
from jobqueue.settings import exit_with_usage_error, load_settings
from manager.cluster.slot_ranges import parse_hosts
from manager.http.request_origin import TrustedProxies
from manager.jwt.issuer import Issuer
from manager.settings import MIN_KEY_CHARACTERS, ManagerSettings


def main() -> int:
    """Check what the environment says to a manager of `workmanager up`; return the exit code 0, or exit with 2."""
    settings = load_settings(ManagerSettings, os.environ)
    check_settings(settings, host="127.0.0.1", scaler="local")
    load_functions(settings)
    return 0


def check_worker_settings() -> None:
    """End the program as `check_settings` does if the workers that it will start would refuse their settings."""
    # They are another program's, and a wrong one would end each of its workers at once.
    command = [sys.executable, "-m", "worker_node.check_settings"]
    checked = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if checked.returncode:
        exit_with_usage_error(checked.stderr.rstrip().rpartition("\n")[2])


def load_functions(settings: ManagerSettings) -> FunctionRegistry:
    """Return the registered functions. End the program as `check_settings` does if a module is not there."""
    functions = FunctionRegistry.load(settings.functions, reloads=settings.reload_functions)
    for reason in functions.missing.values():
        exit_with_usage_error(f"WORKMANAGER_FUNCTIONS: {reason}")
    return functions


def check_settings(settings: ManagerSettings, *, host: str, scaler: str) -> None:
    """End the program, with one line on stderr and exit code 2, if settings do not fit to each other or to the options.

    Args:
        settings: each of them is valid by itself.
        host: the address to listen on.
        scaler: where workers are launched: `ec2`, `local` or `none`.
    """
    if scaler == "ec2":
        _check_ec2(settings)
    if any(len(key) < MIN_KEY_CHARACTERS for key in settings.api_keys):
        # Without the key itself: it is a secret.
        exit_with_usage_error(f"WORKMANAGER_API_KEYS: a key has fewer than {MIN_KEY_CHARACTERS} characters")
    if not settings.api_keys and not _is_loopback(host):
        exit_with_usage_error(f"--host {host} is reachable from other machines: set WORKMANAGER_API_KEYS")
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
        ("WORKER_REDIS_URL", lambda: settings.worker_redis_url is not None and Topology(settings.worker_redis_url)),
        ("CLUSTER_URL", lambda: settings.cluster_url is not None and parse_redis_url(settings.cluster_url)),
        ("CLUSTER_HOSTS", lambda: settings.cluster_hosts and parse_hosts(settings.cluster_hosts)),
        ("TRUSTED_PROXIES", lambda: TrustedProxies(settings.trusted_proxies)),
        ("OIDC_ISSUER", lambda: Issuer.from_settings(settings)),
    ):
        try:
            parse()
        except ValueError as error:
            exit_with_usage_error(f"WORKMANAGER_{name}: {error}")
    if scaler == "local":
        _check_local_workers(settings)


def _check_local_workers(settings: ManagerSettings) -> None:
    """Refuse a user that may claim jobs and not finish them: each would run several times, and be lost."""
    if settings.worker_redis_url is None:
        if parse_redis_url(settings.redis_url).user == "manager":
            exit_with_usage_error(
                "WORKMANAGER_WORKER_REDIS_URL: set it to a URL with the user worker, for the workers that this manager"
                " starts: user manager of WORKMANAGER_REDIS_URL may not finish jobs"
            )
        return
    user = parse_redis_url(settings.worker_redis_url).user
    if user in ROLES - {"worker"}:
        exit_with_usage_error(f"WORKMANAGER_WORKER_REDIS_URL takes the user of the role worker, not {user}")


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
