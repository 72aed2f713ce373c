"""`python -m tests.acceptance.deploy.load URL`: clients that submit jobs and pull results until they are stopped.

The jobs run the user's function `answers.answer`; most are short, some long. A line on standard input ends the
submissions. When the results of all acknowledged jobs have been pulled, or none has come for long, the `Report` is
printed as one line of JSON. The environment has the API key, as API_KEY.
"""

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
JOBS_PER_LONG_JOB = 12
PAUSE_SECONDS = 0.15
RETRY_SECONDS = 60.0
LEASE_SECONDS = 60
MAX_SILENCE_SECONDS = 60.0


@dataclass(slots=True)
class Report:
    """Attributes:
    acknowledged: the number of acknowledged jobs.
    missing: ids of jobs that were acknowledged and never pulled.
    doubled: ids of jobs that were pulled more than once.
    wrong: ids of jobs with a wrong result.
    versions: number of results by version of the function, in the order of their first results.
    last_version: the version that ran the last submitted job.
    repeated: ids of long jobs that needed more than one attempt.
    slowest_seconds: time of the slowest submission, with its retries.
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
    """One thread submits, one pulls, each with a client of its own."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._acknowledged: dict[str, int] = {}
        self._pulled: Counter[str] = Counter()
        self._report = Report()
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._last_result_at = time.monotonic()
        self._last_number = 0

    def run(self) -> Report:
        """Submit until a line on standard input, then pull the rest; return the report.

        Raises:
            ClientError: a request failed for longer than `RETRY_SECONDS`.
        """
        threads = [threading.Thread(target=self._safely, args=(work,)) for work in (self._submit, self._pull)]
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

    def _submit(self) -> None:
        with self._client() as client:
            number = 0
            while not self._stopping.wait(PAUSE_SECONDS):
                is_long = number % JOBS_PER_LONG_JOB == 0
                started_at = time.monotonic()
                id_ = client.submit(
                    "answers.answer",
                    args=[number, LONG_SECONDS if is_long else SHORT_SECONDS],
                    id=f"{'long' if is_long else 'short'}-{number}",
                )
                self._report.slowest_seconds = max(self._report.slowest_seconds, time.monotonic() - started_at)
                self._acknowledged[id_] = number
                number += 1

    def _pull(self) -> None:
        with self._client() as client:
            while not self._is_over():
                pulled = client.pull(top=100, lease_seconds=LEASE_SECONDS, wait_seconds=1)
                client.ack([each.id for each in pulled])
                for each in pulled:
                    if each.id.partition("-")[0] not in ("long", "short"):
                        continue  # another client's job
                    self._last_result_at = time.monotonic()
                    self._pulled[each.id] += 1
                    number, version = each.value
                    self._report.versions[version] = self._report.versions.get(version, 0) + 1
                    if number >= self._last_number:
                        self._last_number, self._report.last_version = number, version
                    if not each.id.endswith(f"-{number}"):
                        self._report.wrong.append(each.id)

    def _is_over(self) -> bool:
        if not self._stopping.is_set():
            return False
        is_silent = time.monotonic() - self._last_result_at > MAX_SILENCE_SECONDS
        return is_silent or self._acknowledged.keys() <= self._pulled.keys()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(Load(sys.argv[1], os.environ["API_KEY"]).run())) + "\n")
