"""What needs a person, in sentences, each with the page that explains it. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from jobqueue.inspection.counters import ShardCounts
from jobqueue.model import ALL_QUEUES
from jobqueue.workers.registry import WorkerView
from manager.dashboard.rendering import page_address, show_duration
from manager.dashboard.signs import Signs
from manager.http.dashboard_paths import CALLBACKS, FAILURES, JOBS, QUEUES, SCALER, SCHEDULES
from processes.wording import counted
from scaler.view import ScalerView

LONG_SECONDS = 60.0
"""What lasts for longer needs a look: a job that waits beside free slots, a callback that does not arrive."""
MAX_STUCK = 5
"""So many stuck queues are named."""
MIN_FAILURES = 3
"""A function that fails less often may have had bad luck."""
SILENT_LEADER_SECONDS = 30.0
"""A leader decides every second."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs a person.

    Attributes:
        page: the one that explains it; '' if none does.
        rest: what follows the page's path in the address.
    """

    text: str
    page: str = ""
    rest: str = ""


def stuck_queues(counts: ShardCounts, unserved: Mapping[str, str], workers: Sequence[WorkerView]) -> Iterator[Finding]:
    """Yield queues whose jobs wait although they are served and workers have room; not all of very many."""
    free_slots = Counter[tuple[str, ...]]()
    for each in workers:
        if each.state in ("idle", "busy"):
            free_slots[tuple(each.queues)] += max(0, each.slots - each.running)
    stuck = []
    for name, queue in counts.queues.items():
        waited = queue.oldest_seconds or 0.0
        if waited <= LONG_SECONDS or not queue.queued or name in unserved or name in counts.paused:
            continue
        free = sum(number for served, number in free_slots.items() if served == ALL_QUEUES or name in served)
        if free:
            stuck.append((waited, name, free))
    stuck.sort(reverse=True)
    for waited, name, free in stuck[:MAX_STUCK]:
        text = f"queue {name!r} is stuck: its next job has waited for {show_duration(waited)}, and"
        slots = f"{counted(free, 'slot')} of its workers {'is' if free == 1 else 'are'} free"
        rest = page_address("", status="queued", queue=name)
        yield Finding(f"{text} {slots}: open the job, which says why it does not run", JOBS, rest)
    if len(stuck) > MAX_STUCK:
        others = counted(len(stuck) - MAX_STUCK, "more queue is", "more queues are")
        yield Finding(f"{others} stuck in the same way", QUEUES)


def failing_functions(before: ShardCounts, now: ShardCounts) -> Iterator[Finding]:
    """Yield functions that have failed more often than not in the last minutes."""
    for name, total in sorted(now.functions.failed.items()):
        failed = total - before.functions.failed.get(name, 0)
        finished = now.functions.finished.get(name, 0) - before.functions.finished.get(name, 0)
        if failed >= MIN_FAILURES and failed > finished:
            ended = failed + max(0, finished)
            yield Finding(f"function {name!r} fails: {failed} of its last {ended} jobs, in the last minutes", FAILURES)


def of_schedules(before: ShardCounts | None, now: ShardCounts, signs: Signs) -> Iterator[Finding]:
    """Yield schedules that are late, and that runs were missed."""
    for name, late in sorted(signs.late_schedules.items()):
        text = f"schedule {name!r} is late by {show_duration(late)}: no manager runs it, or its run before goes on"
        yield Finding(text, SCHEDULES, f"/{quote(name, safe='')}")
    missed = 0 if before is None else now.schedule_runs.get("missed", 0) - before.schedule_runs.get("missed", 0)
    if missed > 0:
        runs = counted(missed, "run of a schedule was", "runs of schedules were")
        text = f"{runs} missed in the last minutes, because no manager ran or runs before"
        yield Finding(f"{text} went on: run the schedule now if it cannot wait", SCHEDULES)


def of_callbacks(counts: ShardCounts) -> Iterator[Finding]:
    """Yield that receivers do not take their callbacks."""
    callbacks = counts.callbacks
    if callbacks.waiting and (callbacks.oldest_seconds or 0.0) > LONG_SECONDS:
        text = f"a receiver takes no callbacks: {callbacks.waiting:,} wait,"
        longest = show_duration(callbacks.oldest_seconds)
        yield Finding(f"{text} the first for {longest}", CALLBACKS, page_address("", status="failing"))
    if callbacks.given_up:
        given_up = counted(callbacks.given_up, "callback was", "callbacks were")
        text = f"{given_up} given up: mend the receiver, then send them again"
        yield Finding(text, CALLBACKS, page_address("", status="dead"))


def of_scaler(view: ScalerView | None, counts: ShardCounts) -> Iterator[Finding]:
    """Yield why the scaler does not launch what is needed."""
    if view is None:
        return
    yield from (Finding(text, SCALER) for text in _of_scaler(view, counts))


def _of_scaler(view: ScalerView, counts: ShardCounts) -> Iterator[str]:
    state = view.state
    if state.overrides.paused:
        yield "the scaler is paused: it launches and drains no workers until somebody resumes it"
    breaker = state.launch_breaker
    if breaker.is_open:
        text = f"launched instances never become workers ({breaker.failed_boots} in a row), so one at a time is tried:"
        yield f"{text} the leader's log names them, and the console of one has the reason"
    if breaker.last_refusal and view.waits_after_refusal:
        yield f"launches are held back: {breaker.last_refusal}"
    silent = silent_seconds(view)
    if view.leadership is None and (state.instances or state.intents):
        yield "no manager runs the scaler, although it has instances: start a manager with --scaler"
    elif view.leadership is not None and silent is not None:
        text = f"the manager {view.leadership.address} leads the scaler, but has decided nothing for"
        yield f"{text} {show_duration(silent)}: read its log, and restart it if there is nothing"
    reached = re.search(r"the maximum of \d+ is reached", view.reason)
    waits = max((queue.oldest_seconds or 0.0 for queue in counts.queues.values()), default=0.0)
    if reached and waits > LONG_SECONDS and not state.overrides.paused:
        text = f"jobs have waited for up to {show_duration(waits)}, and {reached[0]}: raise the scaler's limit or"
        yield f"{text} budget if that is too long"


def silent_seconds(view: ScalerView) -> float | None:
    """Return for how long the scaler's leader has decided nothing; None if it decides."""
    decided_at = (view.report or {}).get("at")
    silent = view.state.now - decided_at if isinstance(decided_at, int | float) else 0.0
    return silent if silent > SILENT_LEADER_SECONDS else None
