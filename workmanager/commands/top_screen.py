"""What `workmanager top` shows: the lines of a screen from what managers have answered. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workmanager.commands.output import counted, one_line, table_lines

Row = Mapping[str, Any]
QUEUE_COLUMNS = ("name", "queued", "started", "scheduled", "failed", "oldest_seconds", "served", "paused")
WORKER_COLUMNS = ("name", "state", "running", "slots", "finished", "failed", "queues", "seconds_since_heartbeat")
INSTANCE_COLUMNS = ("id", "state", "type", "zone", "market", "running", "age_seconds", "reason")
MAX_DECISIONS = 5
FIXED_LINES = 13
"""Of a screen: the head, and what stands around the tables."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A system at one moment. What the key may not see is empty, or None.

    Attributes:
        at: when, as a Unix time.
        ended: how many jobs the workers that live have ended.
        problem: why something could not be asked; ''.
    """

    at: float
    status: Mapping[str, Any]
    queues: Sequence[Row] = ()
    workers: Sequence[Row] = ()
    scaler: Mapping[str, Any] | None = None
    problem: str = ""

    @property
    def ended(self) -> int:
        return sum(worker.get("finished", 0) + worker.get("failed", 0) for worker in self.workers)

    def document(self) -> Mapping[str, Any]:
        """Return everything as JSON has it."""
        parts = {"status": self.status, "queues": self.queues, "workers": self.workers, "scaler": self.scaler}
        return {"at": _time(self.at), **parts}


def screen(now: Snapshot, before: Snapshot | None, height: int | None) -> list[str]:
    """Return the lines of a screen.

    Args:
        before: the snapshot before, for the rate at which jobs end.
        height: lines of the terminal; None for all there is to show.
    """
    rows = None if height is None else max(2, (height - FIXED_LINES - len(now.status.get("problems") or ())) // 3)
    queues = sorted(now.queues, key=lambda queue: (-queue.get("queued", 0), queue["name"]))
    workers = sorted(now.workers, key=lambda worker: (-worker.get("running", 0), worker["name"]))
    lines = [*_head(now, before), ""]
    lines += _table("QUEUES", QUEUE_COLUMNS, queues, rows)
    lines += _table("WORKERS", WORKER_COLUMNS, workers, rows)
    if now.scaler is not None:
        lines += _table("INSTANCES", INSTANCE_COLUMNS, now.scaler["instances"], rows)
        lines += _decisions(now.scaler["decisions"])
    return [one_line(line) for line in (lines if height is None else lines[: height - 1])]


def _head(now: Snapshot, before: Snapshot | None) -> list[str]:
    status, scaler = now.status, now.scaler
    busy, slots = (sum(worker.get(name, 0) for worker in now.workers) for name in ("running", "slots"))
    parts = [
        _time(now.at),
        counted(status.get("Jobs", "?"), "job"),
        counted(status.get("Workers", "?"), "worker") + (f", {busy} of {slots} slots busy" if now.workers else ""),
    ]
    if before is not None and now.at > before.at:
        parts.append(f"{max(0, now.ended - before.ended) / (now.at - before.at):,.1f} ended/s")
    if status.get("completed") is not None:
        parts.append(f"{counted(status['completed'], 'result')} to pull")
    lines = ["   ".join(parts)]
    if scaler is not None:
        parts = [counted(len(scaler["instances"]), "instance")]
        if scaler.get("cost_per_hour") is not None:
            parts.append(f"{scaler['cost_per_hour']:.2f} an hour")
        parts.append("scaler PAUSED" if scaler["paused"] else f"scaler at {scaler['leader'] or 'nobody'}")
        lines.append("   ".join(parts))
    problems = [now.problem] if now.problem else []
    return [*lines, *(f"problem: {text}" for text in (*problems, *(status.get("problems") or ())))]


def _table(title: str, columns: Sequence[str], rows: Sequence[Row], most: int | None) -> list[str]:
    if not rows:
        return [f"no {title.lower()}", ""]
    shown = rows if most is None or len(rows) <= most else rows[: most - 1]
    headings = [title, *(name.upper() for name in columns[1:])]
    lines = table_lines(headings, [[_cell(row.get(name)) for name in columns] for row in shown])
    return [*lines, *([f"… and {len(rows) - len(shown)} more"] if len(shown) < len(rows) else []), ""]


def _decisions(decisions: Sequence[Row]) -> list[str]:
    # Newest first, as on the rest of the screen; the numbers behind the sentence are in `scaler log`.
    return [f"{_time(each['at'])}  {each['reason'].partition(';')[0]}" for each in decisions[:MAX_DECISIONS]]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.0f}"
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
