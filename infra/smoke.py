"""`python -m infra.smoke --url URL --key-file FILE [--authority FILE]`: whether a deployment does its work.

Puts one small job in and takes its result out. Results are pulled on a lease of a few seconds and only this job's is
acknowledged, so that a system in use loses none: whatever else was pulled is handed out again after the lease. There,
somebody else may be faster and pull this job's result: then it is read by its id.
"""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workmanager.client import Client
from workmanager.errors import ClientError

DATA = b"workmanager"
ITERATIONS = 1_000
READY_TIMEOUT_SECONDS = 300.0
"""For the load balancer to know its managers, and its name to be known."""
COMPLETION_TIMEOUT_SECONDS = 600.0
"""For a first worker to be launched and to boot."""
RESULT_LEASE_SECONDS = 5
PULL_WAIT_SECONDS = 5
MAX_PULLED_RESULTS = 100
"""The latest come first."""


class SmokeError(Exception):
    """The deployment does not do its work; the message says how far it came."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the test; the exit code."""
    parser = argparse.ArgumentParser(prog="infra.smoke", description="Whether a deployment does its work.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--authority", type=Path, help="who signed the load balancer's certificate")
    given = parser.parse_args(arguments)
    if given.authority:
        os.environ["SSL_CERT_FILE"] = str(given.authority)
    key = given.key_file.read_text().strip().split(",")[0]
    try:
        seconds = run_smoke_test(given.url, key)
    except (SmokeError, ClientError) as error:
        sys.stderr.write(f"smoke test: error: {error}\n")
        return 1
    sys.stderr.write(f"smoke test: the value is right, {seconds:.1f} s after PUT /enqueue\n")
    return 0


def run_smoke_test(url: str, key: str) -> float:
    """The seconds from the answered enqueue to the pulled value.

    Raises:
        SmokeError: no value, or a wrong one.
        ClientError: no manager answers.
    """
    with Client(url, key, retry_seconds=READY_TIMEOUT_SECONDS) as client:
        work_id = client.enqueue(DATA, iterations=ITERATIONS)
        began = time.monotonic()
        while time.monotonic() < began + COMPLETION_TIMEOUT_SECONDS:
            before = client.job(work_id)
            pulled = client.pull(
                top=MAX_PULLED_RESULTS, lease_seconds=RESULT_LEASE_SECONDS, wait_seconds=PULL_WAIT_SECONDS
            )
            values = [completed.value for completed in pulled if completed.id == work_id]
            if values:
                client.ack([work_id])
            elif before["status"] == "finished":
                values = [before["result"]]
            if values:
                _check(values[0])
                return time.monotonic() - began
    raise SmokeError(
        f"{work_id} was taken in, and its value did not come out within {COMPLETION_TIMEOUT_SECONDS:.0f} s"
    )


def _check(value: object) -> None:
    digest = DATA
    for _ in range(ITERATIONS):
        digest = hashlib.sha512(digest).digest()
    if value != digest.hex():
        raise SmokeError(f"the value {value!r} is wrong")


if __name__ == "__main__":
    sys.exit(main())
