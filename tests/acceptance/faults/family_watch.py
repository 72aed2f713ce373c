"""Jobs that wait for each other and tell of their ends during all faults, and the check that each ran and told once."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.acceptance.faults.delivery_ledger import is_within
from tests.acceptance.faults.hosts import RECEIVER_ADDRESS
from tests.acceptance.faults.patient_client import PatientClient
from tests.acceptance.manager.callback_receiver import Received, Receiver, Reply

_INTERVAL_SECONDS = 0.5
_SETTLED_SECONDS = 90.0
_AT_ONCE = 20
_FAILS_EVERY = 4
_REFUSED_EVERY = 7


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One job of a family.

    Attributes:
        depends_on: its parents, as in `POST /jobs`.
        end: the status that it must end with.
    """

    id: str
    depends_on: Sequence[Any]
    end: str


def family(number: int) -> list[Member]:
    """Return a job, two that wait for it in different ways, and one that waits for both, in the order of submission."""
    parent, heir, mourner, last = (f"family{number}-{name}" for name in ("parent", "heir", "mourner", "last"))
    fails = number % _FAILS_EVERY == 0
    return [
        Member(parent, [], "failed" if fails else "finished"),
        Member(heir, [parent], "canceled" if fails else "finished"),
        Member(mourner, [{"id": parent, "when": "ended"}], "finished"),
        Member(last, [mourner, {"id": heir, "when": "ended"}], "finished"),
    ]


def find_wrong(member: Member, job: Mapping[str, Any], told: Sequence[tuple[str, str]]) -> list[str]:
    """Return what is wrong with a job's record, and with the callbacks' ids and events that came for it. Pure."""
    found = []
    if job.get("status") != member.end:
        found.append(f"{member.id} is {job.get('status', 'not there')}, not {member.end}")
    if sorted(event for _, event in set(told)) != [member.end]:
        found.append(f"{member.id} told of {sorted(set(told))}, not once of {member.end}")
    return found


class FamilyWatch:
    """Submits families over all shards, and tells afterwards which jobs did not end as they must, or told wrongly.

    Attributes:
        jobs: how many were acknowledged.
        callbacks: how many came, with those that came again.
        receiver: where the jobs tell of their ends. It refuses some callbacks.
    """

    def __init__(self, urls: list[str]) -> None:
        self._client = PatientClient(urls)
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._acknowledged: dict[Member, float] = {}
        self._told: list[tuple[str, str, str, float]] = []
        self._submitter: asyncio.Task[None] | None = None
        self.receiver = Receiver(self._answer, address=RECEIVER_ADDRESS)

    @property
    def jobs(self) -> int:
        return len(self._acknowledged)

    @property
    def callbacks(self) -> int:
        return len(self._told)

    def start(self) -> None:
        """Begin to submit."""
        self._submitter = asyncio.create_task(self._submit())

    async def violations(self, excused: Sequence[tuple[float, float]]) -> list[str]:
        """Stop submitting, wait until all jobs have ended and told so, and return what is wrong.

        Args:
            excused: periods whose acknowledged changes may be lost, on the event loop's clock. Families that were
                submitted or told in one of them are not judged.
        """
        assert self._submitter is not None
        self._submitter.cancel()
        await asyncio.wait([self._submitter])
        if not self._submitter.cancelled():
            self._submitter.result()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLED_SECONDS
        wrong = judged = self._judged(excused)
        while wrong and loop.time() < deadline:
            wrong = [member for member, _ in await self._find_wrong(wrong)]
            await asyncio.sleep(0.5)
        found = [complaint for _, complaints in await self._find_wrong(judged) for complaint in complaints]
        await self._client.close()
        self.receiver.stop()
        return found

    async def _submit(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            for member in family(number):
                job = {
                    "id": member.id,
                    **({"function": "sleep", "args": [-1]} if member.end == "failed" else {"function": "noop"}),
                    **({"depends_on": member.depends_on} if member.depends_on else {}),
                    "callback_url": self.receiver.url,
                    "feed": False,
                }
                # A parent is not there if a power cut has undone it: then the family is excused.
                if not await self._client.request("POST", "/jobs", other=422, json=job):
                    break
                self._acknowledged[member] = loop.time()
            await asyncio.sleep(_INTERVAL_SECONDS)

    def _judged(self, excused: Sequence[tuple[float, float]]) -> list[Member]:
        acknowledged = [(member.id, at) for member, at in self._acknowledged.items()]
        told = [(job_id, at) for job_id, _, _, at in self._told]
        excused_families = {_family_of(job_id) for job_id, at in acknowledged + told if is_within(at, excused)}
        return [member for member in self._acknowledged if _family_of(member.id) not in excused_families]

    async def _find_wrong(self, members: Sequence[Member]) -> list[tuple[Member, list[str]]]:
        told = defaultdict(list)
        for job_id, callback_id, event, _ in self._told:
            told[job_id].append((callback_id, event))
        found = []
        for start in range(0, len(members), _AT_ONCE):
            some = members[start : start + _AT_ONCE]
            requests = (self._client.request("GET", f"/jobs/{member.id}", other=404) for member in some)
            for member, job in zip(some, await asyncio.gather(*requests), strict=True):
                if complaints := find_wrong(member, job, told[member.id]):
                    found.append((member, complaints))
        return found

    def _answer(self, received: Received) -> Reply:
        """Take most callbacks; called in threads. One that is not signed is refused, and so is missing at the end."""
        event = received.verified()
        self._told.append((event["data"]["id"], received.id, event["type"].removeprefix("job."), time.monotonic()))
        return Reply(500 if next(self._requests) % _REFUSED_EVERY == 0 else 204)


def _family_of(job_id: str) -> str:
    return job_id.partition("-")[0]
