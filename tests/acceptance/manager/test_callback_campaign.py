"""Random faults: managers are killed, receivers die and come back, answers are refused and lost. Every end is told.

WORKMANAGER_TEST_CALLBACK_ROUNDS says how many rounds of jobs and faults there are, and
WORKMANAGER_TEST_CALLBACK_SEED repeats their order.
"""

import json
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.callback_receiver import SECRET, Received, Receiver, Reply
from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

ROUNDS = int(os.environ.get("WORKMANAGER_TEST_CALLBACK_ROUNDS", "8"))
SEED = int(os.environ.get("WORKMANAGER_TEST_CALLBACK_SEED", "0")) or random.randrange(1, 10**6)
SETTINGS = {
    "CALLBACK_ALLOW": "127.0.0.1",
    "CALLBACK_SECRETS": SECRET,
    "CALLBACK_RETRY_INTERVALS": ",".join(["1"] * 20),
    "CALLBACK_TIMEOUT_SECONDS": "1",
}


class Faults:
    """Decides what goes wrong, in an order that the seed repeats."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self.over = False

    def answer(self, _: Received) -> Reply:
        with self._lock:
            kind = "taken" if self.over else self._chance.choice(["taken"] * 8 + ["refused", "lost", "slow"])
        if kind == "lost":
            raise ConnectionAbortedError
        if kind == "slow":
            time.sleep(1.5)
        return Reply(500 if kind == "refused" else 204)


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Receiver()) for _ in range(2)]


def test_every_end_is_told_with_one_id_and_nothing_else(
    start: Start, private_server: ValkeyServer, receivers: list[Receiver]
) -> None:
    chance, faults = random.Random(SEED), Faults(random.Random(SEED + 1))
    for receiver in receivers:
        receiver.answer = faults.answer
    url = private_server.url
    managers = [start(url, **SETTINGS).wait_until_ready() for _ in range(2)]
    worker = Worker(url)
    expected: dict[str, list[str]] = {}
    for number in range(ROUNDS):
        ids = [f"job{number}-{n}" for n in range(chance.randint(1, 40))]
        lines = [{"function": "noop", "id": each, "callback_url": chance.choice(receivers).url} for each in ids]
        _post(managers, "/jobs/batch", "".join(json.dumps(line) + "\n" for line in lines))
        ends = _end_them(managers, worker, chance, ids)
        expected.update({each: list(ends) for each in ids})
        if number % 10 == 3:
            managers.pop(chance.randrange(2)).kill()
            if number < ROUNDS - 10:
                managers.append(start(url, **SETTINGS).wait_until_ready())
        if chance.random() < 0.5:
            receiver = chance.choice(receivers)
            receiver.start() if receiver.is_stopped else receiver.stop()
    # Jobs that have not ended are told of to nobody.
    lines = [{"function": "noop", "id": f"open{n}", "callback_url": receivers[0].url} for n in range(5)]
    _post(managers, "/jobs/batch", "".join(json.dumps(line) + "\n" for line in lines))
    faults.over = True
    for receiver in receivers:
        if receiver.is_stopped:
            receiver.start()

    def told() -> dict[str, list[str]]:
        events: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for received in [each for receiver in receivers for each in receiver.requests]:
            event = received.event
            events[event["data"]["id"]].append((event["timestamp"], event["type"].removeprefix("job.")))
        return {job_id: [name for _, name in sorted(set(pairs))] for job_id, pairs in events.items()}

    until(lambda: told() == expected, wanted=f"every end, seed {SEED}")
    ids_of = defaultdict(set)
    for received in [each for receiver in receivers for each in receiver.requests]:
        received.verified()
        ids_of[received.event["data"]["id"], received.event["timestamp"]].add(received.id)
    assert all(len(ids) == 1 for ids in ids_of.values()), f"seed {SEED}"
    assert len({callback_id for ids in ids_of.values() for callback_id in ids}) == sum(map(len, expected.values()))
    until(lambda: _waiting(managers) == [], wanted="nothing that waits")


def _end_them(managers: list[ManagerProgram], worker: Worker, chance: random.Random, ids: list[str]) -> tuple[str, ...]:
    """End jobs in one of many ways; return their events in order."""
    match chance.choice(["finish", "fail", "cancel", "requeue"]):
        case "finish":
            worker.finish_all()
            return ("finished",)
        case "fail":
            worker.fail_all()
            return ("failed",)
        case "cancel":
            for job_id in ids:
                _post(managers, f"/jobs/{job_id}/cancel")
            return ("canceled",)
    worker.fail_all()
    for job_id in ids:
        _post(managers, f"/jobs/{job_id}/requeue")
    worker.finish_all()
    return ("failed", "finished")


def _post(managers: list[ManagerProgram], path: str, content: str = "") -> None:
    """Send a request until it is answered; a conflict means that an earlier attempt was carried out."""
    media_type = "application/x-ndjson" if content else "application/json"

    def sent() -> Any:
        with managers[0].client() as client:
            answer = client.post(path, content=content, headers={"Content-Type": media_type})
        assert answer.status_code in (200, 201, 202, 409, 503), answer.text
        return answer.status_code != 503

    until(sent)


def _waiting(managers: list[ManagerProgram]) -> Any:
    return httpx.get(f"{managers[0].url}/callbacks?status=waiting").json()["callbacks"]
