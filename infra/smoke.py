"""`python -m infra.smoke --url URL --balancer NAME --key-file FILE [--authority FILE] [--internal]`: smoke test.

Submits one small job and pulls its result. A system in use loses no result: results are pulled with a lease of a few
seconds, and only this job's is acknowledged, so that the others are delivered again. If another consumer pulls this
job's result first, it is read by its id.

The URL has the name that the certificate is for, and connections go to the load balancer, NAME: a new domain need not
point to it yet. An internal load balancer that cannot be reached from here is not tested.
"""

import argparse
import hashlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workmanager.client import Client
from workmanager.errors import ClientError

DATA = b"workmanager"
ITERATIONS = 1_000
READY_TIMEOUT_SECONDS = 300.0
"""Time for the load balancer to find its managers, and for its name to appear in DNS."""
COMPLETION_TIMEOUT_SECONDS = 600.0
"""Time for a first worker to be launched and to boot."""
CONNECT_TIMEOUT_SECONDS = 10.0
RESULT_LEASE_SECONDS = 5
PULL_WAIT_SECONDS = 5
MAX_PULLED_RESULTS = 100
"""The latest results come first."""


class SmokeError(Exception):
    """The smoke test failed; the message says at which step."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test and return the exit code."""
    parser = argparse.ArgumentParser(prog="infra.smoke", description="Smoke test of a deployment.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--balancer", required=True, help="DNS name of the load balancer")
    parser.add_argument("--internal", action="store_true", help="the load balancer is within a network")
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--authority", type=Path, help="certificate of the authority that signed the load balancer's")
    options = parser.parse_args(arguments)
    if options.authority:
        os.environ["SSL_CERT_FILE"] = str(options.authority)
    if options.internal and not _is_reachable(options.balancer):
        sys.stderr.write(
            f"smoke test: skipped, because {options.balancer} is internal and cannot be reached from here\n"
        )
        return 0
    _resolve(str(urlsplit(options.url).hostname), options.balancer)
    key = options.key_file.read_text().strip().split(",")[0]
    try:
        seconds = run_smoke_test(options.url, key)
    except (SmokeError, ClientError) as error:
        sys.stderr.write(f"smoke test: error: {error}\n")
        return 1
    sys.stderr.write(f"smoke test: the value is right, {seconds:.1f} s after PUT /enqueue\n")
    return 0


def _is_reachable(name: str) -> bool:
    try:
        socket.create_connection((name, 443), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def _resolve(host: str, name: str) -> None:
    """Let this process resolve a host by another one's name."""
    resolve = socket.getaddrinfo

    def getaddrinfo(wanted: Any, *arguments: Any, **named: Any) -> Any:
        return resolve(name if wanted in (host, host.encode()) else wanted, *arguments, **named)

    socket.getaddrinfo = getaddrinfo  # type: ignore[assignment]  # the same arguments and answers


def run_smoke_test(url: str, key: str) -> float:
    """Return the seconds from the answer of the enqueue to the pulled value.

    Raises:
        SmokeError: there is no value in time, or a wrong one.
        ClientError: no manager answers.
    """
    with Client(url, key, retry_seconds=READY_TIMEOUT_SECONDS) as client:
        work_id = client.enqueue(DATA, iterations=ITERATIONS)
        started_at = time.monotonic()
        while time.monotonic() < started_at + COMPLETION_TIMEOUT_SECONDS:
            job = client.job(work_id)
            pulled = client.pull(
                top=MAX_PULLED_RESULTS, lease_seconds=RESULT_LEASE_SECONDS, wait_seconds=PULL_WAIT_SECONDS
            )
            values = [completed.value for completed in pulled if completed.id == work_id]
            if values:
                client.ack([work_id])
            elif job["status"] == "finished":
                values = [job["result"]]
            if values:
                _check(values[0])
                return time.monotonic() - started_at
    raise SmokeError(
        f"job {work_id} was accepted, but there is no result after {COMPLETION_TIMEOUT_SECONDS:.0f} s; see the logs"
    )


def _check(value: object) -> None:
    digest = DATA
    for _ in range(ITERATIONS):
        digest = hashlib.sha512(digest).digest()
    if value != digest.hex():
        raise SmokeError(f"the value {value!r} is wrong")


if __name__ == "__main__":
    sys.exit(main())
