"""`python -m tests.acceptance.faults`: runs the system, breaks it, and says what came of it.

Prints a line of JSON for each fault and one for the whole run on stdout, what it does on stderr. It ends with 0 when
nothing was lost, doubled or wrong and everything recovered by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.acceptance.faults.breaking import FAULTS, Situation, fake_clock
from tests.acceptance.faults.clients import Clients
from tests.acceptance.faults.ledger import Ledger, judge
from tests.acceptance.faults.system import System

_OWN_WORLD = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_INSIDE = "TESTS_FAULTS_INSIDE"
_RECOVERY_SECONDS = 90.0
_CALM_SECONDS = 2.0
_END_SECONDS = 90.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; its exit code."""
    parser = argparse.ArgumentParser(prog="tests.acceptance.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="mix faults at random for so long")
    parser.add_argument("--seed", type=int, default=None, help="of the random mix (default: another one each time)")
    parser.add_argument("--faults", default="", help=f"these, in this order, comma-separated: {', '.join(FAULTS)}")
    parser.add_argument("--lasting", type=float, default=20.0, help="seconds that a stop or a cut lasts (default 20)")
    parser.add_argument("--directory", type=Path, help="of the programs' files and logs (default: a temporary one)")
    given = parser.parse_args(arguments)
    unknown = [name for name in _names(given.faults) if name not in FAULTS]
    if unknown or not (given.faults or given.seconds):
        parser.error(f"no such faults: {', '.join(unknown)}" if unknown else "give --seconds or --faults")
    if os.geteuid() != 0:
        parser.error("hosts are network namespaces, which needs root")
    if _INSIDE not in os.environ:
        # Namespaces of its own: whatever happens, no process, network or mount outlives this program.
        command = [*_OWN_WORLD, sys.executable, "-m", "tests.acceptance.faults", *(arguments or sys.argv[1:])]
        os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        directory = given.directory or Path(scratch)
        return asyncio.run(_run(directory, given, seed))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _chosen(given: argparse.Namespace, chance: random.Random, now: float) -> Iterator[str]:
    """The named ones, or a random mix; power is cut at the very end only, since much is excused by it."""
    if given.faults:
        yield from _names(given.faults)
        return
    mixed = [name for name in FAULTS if name != "power cut" and (name != "clock off" or fake_clock())]
    while time.monotonic() < now + given.seconds:
        yield chance.choice(mixed)


async def _run(directory: Path, given: argparse.Namespace, seed: int) -> int:
    loop = asyncio.get_running_loop()
    _tell(f"seed {seed}, files in {directory}")
    system = System(directory)
    await system.start()
    clients = Clients(system.urls, Ledger(), seed=seed)
    clients.start()
    situation = Situation(system, random.Random(seed), given.lasting)
    reports = []
    try:
        await asyncio.sleep(_CALM_SECONDS)
        for name in _chosen(given, random.Random(seed), time.monotonic()):
            begun = loop.time()
            _tell(name)
            report: dict[str, object] = {"fault": name, "recovered": True}
            try:
                await FAULTS[name](situation)
                healed = loop.time()
                report["whole_after_seconds"] = round(await system.until_whole(_RECOVERY_SECONDS), 1)
                report["lasted_seconds"] = round(healed - begun, 1)
            except TimeoutError as error:
                report |= {"recovered": False, "reason": str(error)}
            await asyncio.sleep(_CALM_SECONDS)
            report["without_writes_seconds"] = round(clients.pace.silence_seconds(begun, loop.time()), 1)
            report["slowest_enqueue_seconds"] = round(clients.pace.slowest_seconds(begun), 1)
            report["most_attempts"] = clients.pace.most_attempts(begun)
            reports.append(report)
            _print(report)
        await clients.stop_submitting()
        await _until_seen(clients)
        await clients.close()
        found = await Clients(system.urls, clients.ledger, seed=seed).find(clients.ledger.unseen())
    finally:
        await system.stop()
    verdict = judge(clients.ledger, found, excused_since=situation.excused_since)
    summary = {
        "seed": seed,
        "acknowledged": len(clients.ledger.expected),
        "handed_out": len(clients.ledger.handed),
        "faults": len(reports),
        "recovered": all(report["recovered"] for report in reports),
        **{name: len(ids) for name, ids in asdict(verdict).items()},
        "examples": {name: ids[:5] for name, ids in asdict(verdict).items() if ids},
    }
    _print(summary)
    return 0 if verdict.clean and summary["recovered"] else 1


async def _until_seen(clients: Clients) -> None:
    """Until every acknowledged job has been handed out, or that does not come any nearer."""
    deadline = time.monotonic() + _END_SECONDS
    left = len(clients.ledger.unseen())
    quiet_until = time.monotonic() + 30
    while left and time.monotonic() < min(deadline, quiet_until):
        await asyncio.sleep(0.2)
        now_left = len(clients.ledger.unseen())
        if now_left < left:
            left, quiet_until = now_left, time.monotonic() + 30


def _tell(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _print(report: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
