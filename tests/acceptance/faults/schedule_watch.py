"""Schedules that run during all faults, and the check that each of their instants was run."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from manager.schedules.run_ids import run_id
from tests.acceptance.faults.patient_client import PatientClient

EVERY_SECONDS = 2
_SCHEDULES = 6  # on every shard at least one
_SHARDS = 4
_CAUGHT_UP_SECONDS = 60.0
_AT_ONCE = 20
_SCHEDULE = {
    "every": EVERY_SECONDS,
    "overlap": "allow",
    "catch_up": {"within": "1h", "runs": "all"},
    "job": {"function": "noop", "feed": False},
}


class ScheduleWatch:
    """Creates schedules, and tells afterwards which of their instants were not run, or run as more than one job.

    Attributes:
        instants: how many there were.
    """

    def __init__(self, urls: list[str]) -> None:
        self.instants = 0
        self._names = [f"watched{number}" for number in range(_SCHEDULES)]
        self._first: dict[str, float] = {}
        self._client = PatientClient(urls)

    async def start(self) -> None:
        """Create the schedules."""
        for name in self._names:
            created = await self._client.request("PUT", f"/schedules/{name}", json=_SCHEDULE)
            self._first[name] = _unix_time(created["next"])

    async def violations(self) -> list[str]:
        """Wait until nothing is due any more, end the schedules, and return what is wrong with their runs."""
        found: list[str] = []
        for name in self._names:
            shown = await self._caught_up(name)
            await self._client.request("POST", f"/schedules/{name}/pause")
            rows = Counter(row["instant"] for row in shown["history"] if row["outcome"] == "fired")
            found += [
                f"schedule {name} has run {instant} {count} times" for instant, count in rows.items() if count > 1
            ]
            missed = [row for row in shown["history"] if row["outcome"] != "fired"]
            found += [f"schedule {name} has {row['outcome']} {row['instant']}" for row in missed]
            last = _unix_time(shown["last"])
            instants = range(int(self._first[name]), int(last) + 1, EVERY_SECONDS)
            self.instants += len(instants)
            for start in range(0, len(instants), _AT_ONCE):
                some = instants[start : start + _AT_ONCE]
                jobs = await asyncio.gather(*(self._job(run_id(name, float(each), _SHARDS)) for each in some))
                found += [
                    f"no job of schedule {name} at {at}" for at, job in zip(some, jobs, strict=True) if job is None
                ]
        await self._client.close()
        return found

    async def _caught_up(self, name: str) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CAUGHT_UP_SECONDS
        while True:
            shown = await self._client.request("GET", f"/schedules/{name}")
            if _unix_time(shown["next"]) > datetime.now(UTC).timestamp() - 2 * EVERY_SECONDS:
                return shown
            if loop.time() > deadline:
                raise TimeoutError(f"schedule {name} has not caught up: {shown['next']} comes next")
            await asyncio.sleep(0.5)

    async def _job(self, job_id: str) -> dict[str, Any] | None:
        return await self._client.request("GET", f"/jobs/{job_id}", other=404) or None


def _unix_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
