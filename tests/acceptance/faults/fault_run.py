"""Runs the system, breaks it as planned, and judges what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.acceptance.faults.catalogue import FAULTS
from tests.acceptance.faults.delivery_ledger import DeliveryLedger, Verdict, check_deliveries, is_within
from tests.acceptance.faults.fault_context import FaultContext
from tests.acceptance.faults.fault_plan import FaultStep
from tests.acceptance.faults.fault_report import FaultReport, complaints, figures_by_fault, text_table
from tests.acceptance.faults.load_clients import LoadClients
from tests.acceptance.faults.system_under_test import SystemUnderTest

FAULT_RUN_ERRORS = (AssertionError, OSError, subprocess.SubprocessError, redis.RedisError)
"""What goes wrong where something does not come about in time, is answered wrongly, or cannot be broken."""
_RECOVERY_SECONDS = 90.0
_WARM_SECONDS = 2.0
_END_SECONDS = 90.0
_STANDSTILL_SECONDS = 30.0
_UNSYNCED_SECONDS = 2.0
"""What a server has acknowledged is on its disk after so long (`appendfsync everysec`)."""
_HEARD_SECONDS = 1.0
"""So long after all power was cut the clients have read what was answered before."""


@dataclass(slots=True)
class FaultRun:
    """One run.

    Args:
        resume_seconds: the longest time without writes that is borne.
    """

    directory: Path
    seed: int
    max_silence_seconds: float
    _reports: list[FaultReport] = field(default_factory=list)
    _power_cuts: list[float] = field(default_factory=list)
    _begun: list[tuple[float, str]] = field(default_factory=list)

    async def run(self, steps: Iterable[FaultStep]) -> dict[str, Any]:
        """The summary; its `complaints` are empty where all went well. SIGINT and SIGTERM end the run early."""
        interrupted = False
        begun = time.monotonic()
        system = SystemUnderTest(self.directory)
        clients = LoadClients(system.urls, DeliveryLedger(), seed=self.seed)
        found: Mapping[str, Any] = {}
        trouble = ""
        try:
            with _interruptible():
                await system.start()
                clients.start()
                await asyncio.sleep(_WARM_SECONDS)
                for step in steps:
                    await asyncio.sleep(step.pause_seconds)
                    await self._take(step, system, clients)
                await clients.stop_submitting()
                await self._until_seen(clients)
                await clients.close()
                found = await LoadClients(system.urls, clients.ledger, seed=self.seed).find_results(
                    clients.ledger.undelivered()
                )
        except asyncio.CancelledError:
            interrupted = True
        except FAULT_RUN_ERRORS as error:  # it is told what was done until then
            trouble = f"{type(error).__name__}: {error}"
        finally:
            await system.stop()
        # Nobody has waited for the jobs of a run that was cut short: they are not known to be lost.
        is_over = not interrupted and not trouble
        verdict = check_deliveries(clients.ledger if is_over else _seen(clients.ledger), found, excused=self._excused())
        return self._summary(clients.ledger, verdict, time.monotonic() - begun, interrupted, trouble)

    async def _take(self, step: FaultStep, system: SystemUnderTest, clients: LoadClients) -> None:
        loop = asyncio.get_running_loop()
        situation = FaultContext(system, random.Random(step.seed), step.duration_seconds)
        self._begun.append((loop.time(), step.fault))
        log_progress(f"{step.fault} (for {step.duration_seconds:g} s, if it lasts)")
        begun, healed, whole, trouble = loop.time(), None, None, ""
        try:
            await FAULTS[step.fault].inject(situation)
            healed = loop.time()
            whole = await system.wait_until_healthy(_RECOVERY_SECONDS)
            clients.raise_if_failed()
        except FAULT_RUN_ERRORS as error:  # the run goes on: what else breaks is told as well
            trouble = f"{type(error).__name__}: {error}"
        if situation.power_cut_at is not None:
            self._power_cuts.append(situation.power_cut_at)
        now = loop.time()
        report = FaultReport(
            fault=step.fault,
            struck=situation.struck,
            lasted_seconds=0.0 if healed is None else healed - begun,
            whole_after_seconds=whole,
            without_writes_seconds=clients.requests.silence_seconds(begun, now),
            resumed_after_seconds=min(clients.requests.resumed_seconds(healed or begun), now - (healed or begun)),
            slowest_enqueue_seconds=clients.requests.slowest_seconds(begun),
            most_attempts=clients.requests.max_attempts(begun),
            trouble=trouble,
        )
        self._reports.append(report)
        log_progress(
            f"  hit {', '.join(situation.struck) or 'all'}; {report.without_writes_seconds:.1f} s without writes"
        )
        _print(report.to_json())

    async def _until_seen(self, clients: LoadClients) -> None:
        """Until every acknowledged job has been handed out that may not be missing, or that does not come nearer."""
        deadline = time.monotonic() + _END_SECONDS
        left, quiet_until = math.inf, deadline
        while left and time.monotonic() < min(deadline, quiet_until):
            now_left = sum(
                not is_within(clients.ledger.acknowledged_at[id_], self._excused())
                for id_ in clients.ledger.undelivered()
            )
            if now_left < left:
                left, quiet_until = now_left, time.monotonic() + _STANDSTILL_SECONDS
            await asyncio.sleep(0.2)

    def _when(self, moment: float) -> str:
        """Where in the run that was."""
        before = [(at, fault) for at, fault in self._begun if at <= moment]
        after = [(at, fault) for at, fault in self._begun if at > moment]
        words = [f"{moment - at:.2f} s after the begin of {fault}" for at, fault in before[-1:]]
        words += [f"{at - moment:.2f} s before {fault}" for at, fault in after[:1]]
        return "acknowledged " + ", ".join(words)

    def _excused(self) -> list[tuple[float, float]]:
        return [_excuse(at) for at in self._power_cuts]

    def _summary(
        self, ledger: DeliveryLedger, verdict: Verdict, seconds: float, interrupted: bool, trouble: str
    ) -> dict[str, Any]:
        figures = figures_by_fault(self._reports)
        if figures:
            log_progress("\n" + text_table(figures))
        missing_ages = [
            at - acknowledged
            for at in self._power_cuts
            for acknowledged in (ledger.acknowledged_at.get(id_, at) for id_ in verdict.missing)
            if is_within(acknowledged, [_excuse(at)])
        ]
        wrong = complaints(self._reports, FAULTS, verdict, self.max_silence_seconds)
        wrong += [f"lost {id_}: {self._when(ledger.acknowledged_at[id_])}" for id_ in verdict.lost]
        summary = {
            "seed": self.seed,
            "seconds": round(seconds),
            "interrupted": interrupted,
            "acknowledged": len(ledger.expected),
            "handed_out": len(ledger.deliveries),
            "faults": len(self._reports),
            "by_fault": figures,
            "recovered": all(report.recovered for report in self._reports),
            **{name: len(ids) for name, ids in asdict(verdict).items()},
            "missing_oldest_seconds": round(max(missing_ages, default=0.0), 2),
            "complaints": [*wrong, *([trouble] if trouble else [])],
        }
        _print(summary)
        return summary


def _excuse(power_cut_at: float) -> tuple[float, float]:
    return power_cut_at - _UNSYNCED_SECONDS, power_cut_at + _HEARD_SECONDS


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Within it, SIGINT and SIGTERM cancel the task; a second one changes nothing, so that all is put away."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    cancel = iter([task.cancel])
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: next(cancel, bool)())
    yield


def _seen(ledger: DeliveryLedger) -> DeliveryLedger:
    """Without the jobs that nobody has been given."""
    expected = {id_: value for id_, value in ledger.expected.items() if id_ in ledger.deliveries}
    return DeliveryLedger(
        expected, ledger.acknowledged_at, ledger.unacknowledged, ledger.values_without_id, ledger.deliveries
    )


def log_progress(text: str) -> None:
    """To whoever watches."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _print(report: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
