"""Runs the system, injects the planned faults, and checks and reports the outcome."""

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
from tests.acceptance.faults.family_watch import FamilyWatch
from tests.acceptance.faults.fault_context import FaultContext
from tests.acceptance.faults.fault_plan import FaultStep
from tests.acceptance.faults.fault_report import FaultReport, complaints, figures_by_fault, text_table
from tests.acceptance.faults.load_clients import LoadClients
from tests.acceptance.faults.schedule_watch import ScheduleWatch
from tests.acceptance.faults.system_under_test import SystemUnderTest

FAULT_RUN_ERRORS = (AssertionError, OSError, subprocess.SubprocessError, redis.RedisError)
"""Errors of a timeout, a wrong answer, or a fault that could not be injected."""
_RECOVERY_TIMEOUT_SECONDS = 90.0
_WARM_UP_SECONDS = 2.0
_DELIVERY_TIMEOUT_SECONDS = 90.0
_NO_PROGRESS_SECONDS = 30.0
_UNSYNCED_SECONDS = 2.0
"""A server's acknowledged writes are on its disk after this time (`appendfsync everysec`)."""
_CLIENT_READ_SECONDS = 1.0
"""Clients have read all earlier answers this long after a power cut of all hosts."""


@dataclass(slots=True)
class FaultRun:
    """One run of the system with faults.

    Args:
        max_silence_seconds: longest allowed pause of writes.
        server_binary: program of the Redis servers; '' is the embedded Valkey.
    """

    directory: Path
    seed: int
    max_silence_seconds: float
    server_binary: str = ""
    _reports: list[FaultReport] = field(default_factory=list)
    _power_cuts: list[float] = field(default_factory=list)
    _started_faults: list[tuple[float, str]] = field(default_factory=list)

    async def run(self, steps: Iterable[FaultStep]) -> dict[str, Any]:
        """Run all steps and return the summary; its `complaints` are empty if all went well.

        SIGINT and SIGTERM end the run early.
        """
        interrupted = False
        started_at = time.monotonic()
        system = SystemUnderTest(self.directory, self.server_binary)
        clients = LoadClients(system.urls, DeliveryLedger(), seed=self.seed)
        schedules, families = ScheduleWatch(system.urls), FamilyWatch(system.urls)
        wrong_watched: list[str] = []
        found: Mapping[str, Any] = {}
        trouble = ""
        try:
            with _interruptible():
                await system.start()
                clients.start()
                await schedules.start()
                families.start()
                await asyncio.sleep(_WARM_UP_SECONDS)
                for step in steps:
                    await asyncio.sleep(step.pause_seconds)
                    await self._run_step(step, system, clients)
                await clients.stop_submitting()
                wrong_watched = await families.violations(self._excused_times())
                wrong_watched += await schedules.violations()
                await self._wait_until_delivered(clients)
                await clients.close()
                found = await LoadClients(system.urls, clients.ledger, seed=self.seed).find_results(
                    clients.ledger.undelivered()
                )
        except asyncio.CancelledError:
            interrupted = True
        except FAULT_RUN_ERRORS as error:  # the summary still covers the steps so far
            trouble = f"{type(error).__name__}: {error}"
        finally:
            await system.stop()
        # An interrupted run did not wait for its jobs, so undelivered ones are not known to be lost.
        is_complete = not interrupted and not trouble
        verdict = check_deliveries(
            clients.ledger if is_complete else _only_delivered(clients.ledger), found, excused=self._excused_times()
        )
        seconds = time.monotonic() - started_at
        return self._summary(
            clients.ledger,
            verdict,
            {
                "schedule_instants": schedules.instants,
                "family_jobs": families.jobs,
                "callbacks": families.callbacks,
            },
            wrong_watched,
            seconds,
            interrupted=interrupted,
            trouble=trouble,
        )

    async def _run_step(self, step: FaultStep, system: SystemUnderTest, clients: LoadClients) -> None:
        loop = asyncio.get_running_loop()
        context = FaultContext(system, random.Random(step.seed), step.duration_seconds)
        self._started_faults.append((loop.time(), step.fault))
        log_progress(f"{step.fault} ({step.duration_seconds:g} s, if the fault lasts)")
        started_at, cause_gone_at, recovered_after, trouble = loop.time(), None, None, ""
        try:
            await FAULTS[step.fault].inject(context)
            cause_gone_at = loop.time()
            recovered_after = await system.wait_until_healthy(_RECOVERY_TIMEOUT_SECONDS)
            clients.raise_if_failed()
        except FAULT_RUN_ERRORS as error:  # the run goes on to find further problems
            trouble = f"{type(error).__name__}: {error}"
        if context.power_cut_at is not None:
            self._power_cuts.append(context.power_cut_at)
        now = loop.time()
        report = FaultReport(
            fault=step.fault,
            struck=context.targets,
            lasted_seconds=0.0 if cause_gone_at is None else cause_gone_at - started_at,
            whole_after_seconds=recovered_after,
            without_writes_seconds=clients.requests.silence_seconds(started_at, now),
            resumed_after_seconds=min(
                clients.requests.resumed_seconds(cause_gone_at or started_at), now - (cause_gone_at or started_at)
            ),
            slowest_enqueue_seconds=clients.requests.slowest_seconds(started_at),
            most_attempts=clients.requests.max_attempts(started_at),
            trouble=trouble,
        )
        self._reports.append(report)
        log_progress(
            f"  targets: {', '.join(context.targets) or 'all'}; {report.without_writes_seconds:.1f} s without writes"
        )
        _print(report.to_json())

    async def _wait_until_delivered(self, clients: LoadClients) -> None:
        """Wait until every acknowledged job is delivered, except excused ones, or until there is no more progress."""
        deadline = time.monotonic() + _DELIVERY_TIMEOUT_SECONDS
        undelivered, give_up_at = math.inf, deadline
        while undelivered and time.monotonic() < min(deadline, give_up_at):
            still_undelivered = sum(
                not is_within(clients.ledger.acknowledged_at[id_], self._excused_times())
                for id_ in clients.ledger.undelivered()
            )
            if still_undelivered < undelivered:
                undelivered, give_up_at = still_undelivered, time.monotonic() + _NO_PROGRESS_SECONDS
            await asyncio.sleep(0.2)

    def _describe_moment(self, moment: float) -> str:
        """Describe a moment by the faults before and after it."""
        before = [(at, fault) for at, fault in self._started_faults if at <= moment]
        after = [(at, fault) for at, fault in self._started_faults if at > moment]
        words = [f"{moment - at:.2f} s after the start of {fault}" for at, fault in before[-1:]]
        words += [f"{at - moment:.2f} s before {fault}" for at, fault in after[:1]]
        return "acknowledged " + ", ".join(words)

    def _excused_times(self) -> list[tuple[float, float]]:
        return [_excused_time(at) for at in self._power_cuts]

    def _summary(
        self,
        ledger: DeliveryLedger,
        verdict: Verdict,
        watched: Mapping[str, int],
        wrong_watched: list[str],
        seconds: float,
        *,
        interrupted: bool,
        trouble: str,
    ) -> dict[str, Any]:
        figures = figures_by_fault(self._reports)
        if figures:
            log_progress("\n" + text_table(figures))
        missing_ages = [
            at - acknowledged
            for at in self._power_cuts
            for acknowledged in (ledger.acknowledged_at.get(id_, at) for id_ in verdict.missing)
            if is_within(acknowledged, [_excused_time(at)])
        ]
        wrong = complaints(self._reports, FAULTS, verdict, self.max_silence_seconds)
        wrong += [f"lost {id_}: {self._describe_moment(ledger.acknowledged_at[id_])}" for id_ in verdict.lost]
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
            **watched,
            "missing_oldest_seconds": round(max(missing_ages, default=0.0), 2),
            "complaints": [*wrong, *wrong_watched, *([trouble] if trouble else [])],
        }
        _print(summary)
        return summary


def _excused_time(power_cut_at: float) -> tuple[float, float]:
    return power_cut_at - _UNSYNCED_SECONDS, power_cut_at + _CLIENT_READ_SECONDS


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM cancel the task in this block; a second signal does not interrupt the clean-up."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    cancel = iter([task.cancel])
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: next(cancel, bool)())
    yield


def _only_delivered(ledger: DeliveryLedger) -> DeliveryLedger:
    """Return the ledger without the undelivered jobs."""
    expected = {id_: value for id_, value in ledger.expected.items() if id_ in ledger.deliveries}
    return DeliveryLedger(
        expected, ledger.acknowledged_at, ledger.unacknowledged, ledger.values_without_id, ledger.deliveries
    )


def log_progress(text: str) -> None:
    """Print a line for the operator, with the time."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _print(report: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
