"""`python -m tests.acceptance.deploy.load URL`: clients that put jobs in and pull results out, until told to stop.

Jobs are of the operator's function `answers.answer`, most of them short, some long. A line on standard input ends the
putting; when every acknowledged job's result has been pulled, or none has come for long, what happened is printed as
one line of JSON: see `Report`. The API key is in the environment, as API_KEY.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from workmanager.client import Client

LONG_SECONDS = 6.0
SHORT_SECONDS = 0.05
EVERY = 12
"""So many jobs to a long one."""
PAUSE_SECONDS = 0.15
RETRY_SECONDS = 60.0
LEASE_SECONDS = 60
SILENT_SECONDS = 60.0


@dataclass(slots=True)
class Report:
    """Attributes:
    acknowledged: jobs, by id; long ones are named so.
    missing: acknowledged, and never pulled.
    doubled: pulled more than once.
    wrong: results that are not their job's.
    versions: of the function, in the order in which their first results came, with how many there were.
    last_version: of the job that was put in last.
    repeated: long jobs that took more than one attempt.
    slowest_seconds: how long the slowest answer to a put took, with all repeats.
    """

    acknowledged: int = 0
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    last_version: str = ""
    repeated: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0


class Load:
    """One who puts in and one who pulls, each on a connection of its own."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._acknowledged: dict[str, int] = {}
        self._pulled: Counter[str] = Counter()
        self._report = Report()
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._heard_at = time.monotonic()
        self._last = 0

    def run(self) -> Report:
        """What came of it.

        Raises:
            ClientError: a request failed for longer than it is repeated.
        """
        threads = [threading.Thread(target=self._safely, args=(work,)) for work in (self._put, self._pull)]
        for thread in threads:
            thread.start()
        sys.stdin.readline()
        self._stopping.set()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        report = self._report
        report.acknowledged = len(self._acknowledged)
        report.missing = sorted(self._acknowledged.keys() - self._pulled.keys())
        report.doubled = sorted(id_ for id_, times in self._pulled.items() if times > 1)
        with self._client() as client:
            long = [id_ for id_ in self._acknowledged if id_.startswith("long-")]
            report.repeated = [id_ for id_ in long if client.job(id_)["attempts"] != 1]
        return report

    def _client(self) -> Client:
        return Client(self._url, self._key, retry_seconds=RETRY_SECONDS)

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread's edge: `run` raises it
            self._failures.append(error)
            self._stopping.set()

    def _put(self) -> None:
        with self._client() as client:
            number = 0
            while not self._stopping.wait(PAUSE_SECONDS):
                is_long = number % EVERY == 0
                began = time.monotonic()
                id_ = client.submit(
                    "answers.answer",
                    args=[number, LONG_SECONDS if is_long else SHORT_SECONDS],
                    id=f"{'long' if is_long else 'short'}-{number}",
                )
                self._report.slowest_seconds = max(self._report.slowest_seconds, time.monotonic() - began)
                self._acknowledged[id_] = number
                number += 1

    def _pull(self) -> None:
        with self._client() as client:
            while not self._is_over():
                pulled = client.pull(top=100, lease_seconds=LEASE_SECONDS, wait_seconds=1)
                client.ack([each.id for each in pulled])
                for each in pulled:
                    if each.id.partition("-")[0] not in ("long", "short"):
                        continue  # of whoever else puts jobs in
                    self._heard_at = time.monotonic()
                    self._pulled[each.id] += 1
                    number, version = each.value
                    self._report.versions[version] = self._report.versions.get(version, 0) + 1
                    if number >= self._last:
                        self._last, self._report.last_version = number, version
                    if not each.id.endswith(f"-{number}"):
                        self._report.wrong.append(each.id)

    def _is_over(self) -> bool:
        if not self._stopping.is_set():
            return False
        is_silent = time.monotonic() - self._heard_at > SILENT_SECONDS
        return is_silent or self._acknowledged.keys() <= self._pulled.keys()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(Load(sys.argv[1], os.environ["API_KEY"]).run())) + "\n")
