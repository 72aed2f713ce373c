"""A running manager under raw connections that send valid and damaged requests: `./scripts/dev.sh raw --seconds 1200`.

Keys of each scope, and none; requests in one packet, in pieces, several at once, cut off, slow. Beside them, a client
submits honest jobs and reads their values. At the end, the manager must have answered nothing with 500, logged no
error, closed every connection, and have the memory that it had when it was warm. Exits with 1 otherwise.

`--seed` repeats a run. The log has the ids of requests, `raw-NUMBER`: `--first NUMBER` begins there.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from jobqueue.acl import PLAIN_PREFIX, render_acl_file, roles
from tests.acceptance.http.crowd import memory_mebibytes
from tests.acceptance.http.mutated_requests import FUZZED_QUEUES, RequestMaker
from tests.acceptance.manager.callback_receiver import SECRET
from tests.acceptance.manager.keyed_managers import OPERATOR, create
from tests.acceptance.manager.manager_program import ManagerProgram, environment
from tests.acceptance.sha512 import sha512
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

_ROOT = Path(__file__).parents[3]
_CLIENTS = 12
_ANSWER_SECONDS = 0.2
_HONEST_QUEUE = "honest"
_WARM_SHARE = 0.25
_MORE_MEBIBYTES = 40
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset
_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(slots=True)
class Findings:
    """What a campaign has seen.

    Attributes:
        statuses: how often each status was answered.
        honest: how many honest jobs have given their value.
        faults: what was wrong, in words.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    honest: int = 0
    faults: list[str] = field(default_factory=list)


async def attack(
    manager: ManagerProgram, keys: list[str], seconds: float, seed: str, *, first: int = 0, without: str = ""
) -> Findings:
    """Send requests for so long, except to routes that end with `without`, and return what was found."""
    found = Findings()
    document = json.loads((_ROOT / "openapi.json").read_text())
    numbers = itertools.count(first)
    until_ = time.monotonic() + seconds
    idle = _descriptors(manager.process.pid)
    warm: list[float] = []

    async def attacker() -> None:
        while time.monotonic() < until_:
            number = next(numbers)
            requests = RequestMaker(document, keys, f"{seed}-{number}", without=without)
            with contextlib.suppress(OSError):
                found.statuses.update(await _connection(manager.port, requests, random.Random(number), f"raw-{number}"))

    async def honest() -> None:
        async with httpx.AsyncClient(base_url=manager.url, timeout=90, verify=False) as client:
            client.headers["Authorization"] = f"Bearer {OPERATOR}"
            while time.monotonic() < until_:
                data = random.randbytes(10)
                body = {"function": "sha512", "kwargs": {"iterations": 2}, "queue": _HONEST_QUEUE}
                answer = await client.post("/jobs", json={**body, "data": base64.b64encode(data).decode()})
                job = (await client.get(f"/jobs/{answer.json()['id']}", params={"wait": 30})).json()
                if job.get("result") != sha512(data, 2):
                    found.faults.append(f"an honest job: {answer.text} {job}")
                found.honest += 1
                await asyncio.sleep(0.1)

    async def measure() -> None:
        await asyncio.sleep(seconds * _WARM_SHARE)
        warm.append(memory_mebibytes(manager.process.pid))

    await asyncio.gather(measure(), honest(), *(attacker() for _ in range(_CLIENTS)))
    found.faults += _faults_of(manager, found, idle, warm[0])
    return found


async def _connection(port: int, requests: RequestMaker, rng: random.Random, name: str) -> list[int]:
    """Send a few requests over one connection, in one of the ways of clients. Return the statuses of the answers."""
    message = b"".join(requests.make(name) for _ in range(rng.choice([1, 1, 1, 2, 5])))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        way = rng.choice(["whole", "whole", "pieces", "bytes", "half-closed", "cut", "reset", "slow"])
        if way in ("cut", "reset"):
            message = message[: rng.randrange(len(message) + 1)]
        for piece in _pieces(message, way, rng):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05 if way == "slow" else 0)
        if way == "half-closed":
            writer.write_eof()
        if way == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return []
        answer = b""
        with contextlib.suppress(TimeoutError):
            while piece := await asyncio.wait_for(reader.read(1 << 16), _ANSWER_SECONDS):
                answer += piece
        return [int(status) for status in _STATUS_LINE.findall(answer)]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _pieces(message: bytes, way: str, rng: random.Random) -> Iterator[bytes]:
    if way == "bytes":
        head = message[:300]
        yield from (head[place : place + 1] for place in range(len(head)))
        yield message[300:]
    elif way in ("pieces", "slow"):
        cuts = sorted(rng.randrange(len(message) + 1) for _ in range(4))
        yield from (message[first:last] for first, last in itertools.pairwise([0, *cuts, len(message)]))
    else:
        yield message


def _faults_of(manager: ManagerProgram, found: Findings, idle: Counter[str], warm: float) -> Iterator[str]:
    """Yield what is wrong with the manager after the attack."""
    if manager.process.poll() is not None:
        yield f"the manager has ended: {manager.process.returncode}"
        return
    with contextlib.suppress(AssertionError):
        until(lambda: _connections(manager.port) == 0, seconds=30)
    if left := _connections(manager.port):
        yield f"{left} connections are left"
    descriptors = _descriptors(manager.process.pid)
    for kind, number in descriptors.items():
        # Connections to Redis are opened as needed, and kept.
        if number > idle[kind] + (40 if kind == "socket" else 2):
            yield f"{number} descriptors of the kind {kind}, and {idle[kind]} before"
    if (memory := memory_mebibytes(manager.process.pid)) > warm + _MORE_MEBIBYTES:
        yield f"{memory:.0f} MiB of memory, and {warm:.0f} when it was warm"
    log = manager.log.splitlines()
    # Redis is there all the time: a refusal tells of a right that its users lack.
    yield from (line for line in log if " status=500 " in line or _is_refused(line))
    yield from (line for line in log if " ERROR " in line or line.startswith("Traceback"))
    if found.honest == 0:
        yield "no honest job has run"


def _is_refused(line: str) -> bool:
    return " status=503 " in line and " request=raw-" in line


def _connections(port: int) -> int:
    """Return how many connections the manager's side has not closed."""
    ended = {"06", "0A"}  # TIME_WAIT, LISTEN
    with open("/proc/net/tcp") as table:
        lines = [line.split() for line in table][1:]
    return sum(line[1].endswith(f":{port:04X}") and line[3] not in ended for line in lines)


def _descriptors(pid: int) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            kinds[str(entry.readlink()).partition(":")[0]] += 1
    return kinds


@contextlib.contextmanager
def attacked_manager(directory: Path) -> Iterator[tuple[ManagerProgram, list[str]]]:
    """Run a manager, a worker for honest jobs and one for the others; yield the manager and keys of each scope.

    Redis has the users of a deployment.
    """
    server = ValkeyServer(directory / "valkey")
    server.start()
    _, *users = render_acl_file({role: [role] for role in roles()}, PLAIN_PREFIX).splitlines()
    for user in users:
        server.command("ACL", "SETUSER", *user.split()[1:])
    urls = {role: f"redis://{role}:{role}@127.0.0.1:{server.port}" for role in roles()}
    settings = {"API_KEYS": OPERATOR, "CALLBACK_SECRETS": SECRET, "CLUSTER_URL": urls["administrator"]}
    manager = ManagerProgram(directory / "managers", urls["manager"], (), **settings).wait_until_ready()
    command = [sys.executable, "-m", "worker_node", "--redis-url", urls["worker"], "--slots", "1", "--queues"]
    with (directory / "workers.log").open("wb") as log:
        workers = [
            subprocess.Popen([*command, queues], stdout=log, stderr=log, env=environment(), cwd=directory)
            for queues in (_HONEST_QUEUE, ",".join([*FUZZED_QUEUES, "default"]))
        ]
    try:
        scopes = ("jobs:write", "jobs:read", "results:pull", "admin")
        keys = ["", "no-such-key-at-all", *(create(manager, scope)["key"] for scope in scopes)]
        keys += [create(manager, *scopes[:2], queues=["fuzzed*"])["key"], *[OPERATOR] * 8]
        yield manager, keys
    finally:
        for process in workers:
            process.kill()
            process.wait()
        manager.kill()
        server.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.sh raw", description="Attack a running manager with raw connections.")
    parser.add_argument("--seconds", type=float, default=600, help="for so long (600)")
    parser.add_argument("--seed", default=str(time.time_ns()), help="repeats a run's requests")
    parser.add_argument("--first", type=int, default=0, help="number of the first request")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, attacked_manager(Path(name)) as (manager, keys):
        before = memory_mebibytes(manager.process.pid)
        found = asyncio.run(attack(manager, keys, options.seconds, options.seed, first=options.first))
        after = memory_mebibytes(manager.process.pid)
        if found.faults:
            Path("raw-campaign.log").write_text(manager.log)
    say = sys.stdout.write
    say(f"seed {options.seed}: {sum(found.statuses.values())} answers, {found.honest} honest jobs, ")
    say(f"{before:.0f} MiB before and {after:.0f} MiB after\n{dict(sorted(found.statuses.items()))}\n")
    for fault in found.faults:
        say(f"FAULT {fault}\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
