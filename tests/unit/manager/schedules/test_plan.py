"""What a schedule does at a time: which instant runs, which ones are missed, what comes next."""

import json
from typing import Any
from zlib import crc32

import pytest

from jobqueue.model import NewJob
from manager.schedules.plan import MAX_WAITING, Missed, Plan, plan
from manager.schedules.record import CatchUp, Pause, Progress, Schedule
from manager.schedules.run_ids import manual_run_id, run_id
from manager.schedules.timing import MAX_COUNTED, Timing

MINUTE, DAY = 60.0, 86400.0
T = 1_900_000_020.0  # a whole minute


def schedule(cron: str | None = "* * * * *", **fields: Any) -> Schedule:
    bounds = {name: fields.pop(name) for name in ("every_seconds", "timezone", "start", "end") if name in fields}
    timing = Timing(None if "every_seconds" in bounds else cron, **({"every_seconds": None} | bounds))
    defaults: dict[str, Any] = {
        "overlap": "skip",
        "catch_up": CatchUp(600, "latest"),
        "jitter_seconds": 0,
        "max_runs": None,
        "job": {"function": "noop"},
        "template": NewJob(id="", function="noop", data=b"[]", retry_intervals=(1, 2), meta=b'{"a":1}'),
    }
    return Schedule("s", timing, **(defaults | fields))


def progress(next_instant: float | None = T, **fields: Any) -> Progress:
    return Progress("r", next_instant, **fields)


ALL = {"overlap": "allow", "catch_up": CatchUp(600, "all")}


@pytest.mark.parametrize(
    ("of", "at", "now", "expected"),
    [
        pytest.param(schedule(), progress(), T - 0.1, None, id="not due"),
        pytest.param(schedule(), progress(), T, Plan(T, T, T + MINUTE), id="due"),
        pytest.param(schedule(), progress(None), T, None, id="over"),
        pytest.param(schedule(), progress(pause=Pause(T, "me", "")), T, None, id="paused"),
        pytest.param(
            schedule(),
            progress(),
            T + 5 * MINUTE + 1,
            Plan(T, T + 5 * MINUTE, T + 6 * MINUTE, Missed(T, 5)),
            id="of several the latest",
        ),
        pytest.param(schedule(**ALL), progress(), T + 5 * MINUTE, Plan(T, T, T + MINUTE), id="of several the first"),
        pytest.param(
            schedule(**ALL),
            progress(),
            T + 15 * MINUTE,
            Plan(T, T + 5 * MINUTE, T + 6 * MINUTE, Missed(T, 5)),
            id="the first that is not too late",
        ),
        pytest.param(schedule("47 17 * * *"), progress(), T + 601, Plan(T, None, T + DAY, Missed(T, 1)), id="too late"),
        pytest.param(
            schedule(), progress(), T + 30 * DAY, Plan(T, T + 30 * DAY, T + 30 * DAY + 60, Missed(T, MAX_COUNTED))
        ),
        pytest.param(
            schedule(every_seconds=1), progress(), T + DAY, Plan(T, T + DAY, T + DAY + 1, Missed(T, int(DAY)))
        ),
        pytest.param(schedule(max_runs=3), progress(runs=2), T, Plan(T, T, None), id="the last of its runs"),
        pytest.param(schedule(end=T + 30), progress(), T, Plan(T, T, None), id="the last before its end"),
        pytest.param(
            schedule(overlap="queue"),
            progress(held=True),
            T + 50 * MINUTE,
            Plan(T, T, T + MINUTE),
            id="what has waited is not late",
        ),
        pytest.param(
            schedule(overlap="queue"),
            progress(held=True),
            T + (MAX_WAITING + 4) * MINUTE,
            Plan(T, T + 5 * MINUTE, T + 6 * MINUTE, Missed(T, 5)),
            id="so many wait and no more",
        ),
        pytest.param(
            schedule(overlap="replace"),
            progress(held=True),
            T + 50 * MINUTE,
            Plan(T, T + 50 * MINUTE, T + 51 * MINUTE, Missed(T, 50)),
            id="the latest replaces what is stopped",
        ),
    ],
)
def test_a_step(of: Schedule, at: Progress, now: float, expected: Plan | None) -> None:
    assert plan(of, at, now) == expected


def test_jitter_is_the_same_part_for_every_run_and_differs_between_names() -> None:
    of = schedule(jitter_seconds=100)
    assert of.offset_seconds == crc32(b"s") % 100_001 / 1000
    assert plan(of, progress(), T + of.offset_seconds - 0.01) is None
    assert plan(of, progress(), T + of.offset_seconds) == Plan(T, T, T + MINUTE)


def test_an_interval_begins_at_the_epoch_whenever_it_was_created() -> None:
    every = Timing(None, 6 * 3600)
    assert every.next_after(T) == 1_900_000_800.0 == 1_900_000_800 // 21600 * 21600
    assert Timing(None, 90, start=T, end=T + 200).latest(T, T + 900, 9) == [T + 60, T + 150]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "Every second"), (90, "Every 90 seconds"), (900, "Every 15 minutes"), (86400, "Every day")],
)
def test_an_interval_in_words(seconds: int, words: str) -> None:
    assert Timing(None, seconds).in_words == words


def test_a_record_is_read_as_it_was_written() -> None:
    of = schedule("30 2 * * *", timezone="Europe/Berlin", max_runs=3, overlap="queue", start=T)
    assert Schedule.from_json("s", of.to_json().encode()) == of


@pytest.mark.parametrize(
    "spoiled", [b"", b"{}", b"[]", b"nonsense", b'{"timing": {"cron": "x", "every_seconds": null}}']
)
def test_a_record_that_something_else_has_written_is_an_error(spoiled: bytes) -> None:
    with pytest.raises(ValueError, match="the record of schedule 's' cannot be read"):
        Schedule.from_json("s", spoiled)


@pytest.mark.parametrize("change", [{"queue": None}, {"timeout_seconds": True}, {"fair_key": "\ud800"}])
def test_a_record_with_a_job_that_cannot_be_sent_is_an_error(change: dict[str, Any]) -> None:
    record = json.loads(schedule().to_json())
    record["template"] |= change
    with pytest.raises(ValueError, match="the record of schedule 's' cannot be read"):
        Schedule.from_json("s", json.dumps(record).encode())


def test_what_is_noted_of_a_schedule_has_no_arguments() -> None:
    of = schedule(job={"function": "noop", "kwargs": {"token": "secret"}})
    assert "secret" not in str(of.noted())
    assert of.noted()["job"] == {"function": "noop", "queue": "default", "digest": of.noted()["job"]["digest"]}


@pytest.mark.parametrize("shards", [1, 6, 64])
def test_ids_of_runs_lie_on_the_schedules_shard_and_differ(shards: int) -> None:
    names = ["nightly", "a", "a-20300317T174700Z", "x" * 40]
    ids = [run_id(name, T + minute * 60, shards) for name in names for minute in range(50)]
    ids += [manual_run_id(name, f"{number:08x}", shards) for name in names for number in range(50)]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 64
    for name in names:
        for minute in range(50):
            assert crc32(run_id(name, T + minute * 60, shards).encode()) % shards == crc32(name.encode()) % shards
