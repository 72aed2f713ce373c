"""Options of `workmanager submit` that are fields of a job; checked before anything is sent.

The bounds are those of `POST /jobs`. A unit test compares them with the OpenAPI document.
"""

import argparse
import math
import re
from collections.abc import Callable
from datetime import datetime

from workmanager.commands.arguments import CommandParser, json_array, json_object
from workmanager.errors import UsageError
from workmanager.http.submission import CallbackOptions, DependencyOptions, JobOptions, LimitOptions

YEAR_SECONDS = 365 * 24 * 3600
MAX_RETRIES = 100
ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
QUEUE_PATTERN = "[A-Za-z0-9_.-]{1,64}"
MAX_LABELS = 8
LABEL_NAME_PATTERN = "[A-Za-z0-9_.-]{1,64}"
LABEL_VALUE_PATTERN = r"[^\x00-\x1f\x7f]{1,128}"
MAX_UNIQUE_KEY_CHARACTERS = 256
RATE_PATTERN = "[1-9][0-9]{0,6}/([1-9][0-9]{0,4})?[smhd]"
CALLBACK_EVENTS = ("finished", "failed", "stopped", "canceled")


def add_job_options(parser: CommandParser) -> None:
    group = parser.add_argument_group("options of each job")
    group.add_argument("--args", type=json_array, metavar="JSON", help="positional arguments of the function")
    group.add_argument("--kwargs", type=json_object, metavar="JSON", help="keyword arguments of the function")
    group.add_argument("--queue", type=_matching(QUEUE_PATTERN), metavar="NAME", help="queue (default: default)")
    group.add_argument(
        "--lifo", action="store_const", const="lifo", dest="order", help="put the job at the front of the queue"
    )
    start = group.add_mutually_exclusive_group()
    start.add_argument("--delay", type=_seconds, metavar="SECONDS", help="start the job no sooner than in SECONDS")
    start.add_argument(
        "--at", type=_instant, metavar="TIME", help="start it no sooner than then: 2030-01-31T08:00:00+01:00, or with Z"
    )
    group.add_argument(
        "--timeout", type=_whole(1, YEAR_SECONDS), metavar="SECONDS", help="kill it after SECONDS (default 3600)"
    )
    group.add_argument(
        "--retry", type=_whole(0, MAX_RETRIES), metavar="N", help="retry it N times if it fails (default 0; http: 3)"
    )
    group.add_argument(
        "--retry-intervals",
        type=_intervals,
        metavar="SECONDS,...",
        help="with --retry: pauses before the retries, such as 1,10,60; the last one repeats",
    )
    group.add_argument(
        "--result-ttl",
        type=_whole(0, YEAR_SECONDS),
        metavar="SECONDS",
        help="keep an unpulled result for SECONDS (default 7 days)",
    )
    group.add_argument("--no-feed", action="store_const", const=False, dest="feed", help="`pull` skips the result")
    group.add_argument("--isolation", choices=["job"], help="job: run it in a process of its own")
    group.add_argument(
        "--depends-on",
        action="append",
        type=_dependency,
        metavar="ID[:ended]",
        help="start it when that job has finished, and cancel it if that one fails; with :ended, start it after any "
        "end (several: wait for all)",
    )
    group.add_argument(
        "--callback-url", metavar="URL", help="tell URL when the job has ended; listen:NAME for `workmanager listen`"
    )
    group.add_argument(
        "--callback-events",
        type=_events,
        metavar="EVENT,...",
        help=f"with --callback-url: only of these ends ({', '.join(CALLBACK_EVENTS)})",
    )
    group.add_argument(
        "--callback-result", action="store_true", help="with --callback-url: send the result, up to 20 KiB of JSON"
    )
    group.add_argument(
        "--limit",
        action="append",
        type=_limit,
        dest="limits",
        metavar="KEY=N or KEY=N/TIME",
        help="run it only while fewer than N jobs with KEY run, or at a rate: tenant:42=5, api=100/1m",
    )
    group.add_argument("--fair-key", metavar="KEY", help="take turns with jobs that have another KEY")
    group.add_argument(
        "--label",
        action="append",
        type=_label,
        metavar="NAME=VALUE",
        help=f"a label to find the job by, with `jobs --label` (at most {MAX_LABELS})",
    )
    group.add_argument("--meta", type=json_object, metavar="JSON", help="an object to keep with the job")
    identity = group.add_mutually_exclusive_group()
    identity.add_argument(
        "--id", type=_matching(ID_PATTERN), metavar="ID", help="id of the one job; with it, a repeat changes nothing"
    )
    identity.add_argument(
        "--unique", type=_unique_key, metavar="KEY", help="refuse the job if another one with KEY came --within SECONDS"
    )
    group.add_argument("--within", type=_positive_seconds, metavar="SECONDS", help="with --unique: for how long")


def job_options(options: argparse.Namespace) -> JobOptions:
    """Return the fields of a job that were given.

    Raises:
        UsageError: options do not fit together.
    """
    if (options.unique is None) != (options.within is None):
        raise UsageError("give both --unique KEY and --within SECONDS, or neither")
    if options.depends_on is not None and (options.delay is not None or options.at is not None):
        raise UsageError("--depends-on works neither with --delay nor with --at")
    if options.retry_intervals is not None and not options.retry:
        raise UsageError("--retry-intervals works only with --retry N")
    if options.callback_url is None and (options.callback_events is not None or options.callback_result):
        raise UsageError("--callback-events and --callback-result work only with --callback-url URL")
    job = JobOptions()
    names = (
        *("args", "kwargs", "queue", "order", "delay", "at", "timeout", "result_ttl", "feed"),
        *("isolation", "depends_on", "limits", "fair_key", "meta", "id"),
    )
    job.update({name: value for name in names if (value := getattr(options, name)) is not None})  # type: ignore[typeddict-item]  # checked by argparse's types
    if options.retry is not None:
        job["retry"] = {"max": options.retry, "intervals": options.retry_intervals or []}
    if options.callback_url is not None:
        job["callback"] = callback = CallbackOptions(url=options.callback_url)
        if options.callback_events is not None:
            callback["events"] = options.callback_events
        if options.callback_result:
            callback["include"] = ["result"]
    if options.label is not None:
        job["labels"] = labels = dict(options.label)
        if len(labels) < len(options.label) or len(options.label) > MAX_LABELS:
            raise UsageError(f"give each --label once, and at most {MAX_LABELS}")
    if options.unique is not None:
        job["unique"] = {"key": options.unique, "within": options.within}
    return job


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"{text!r} does not have the form {pattern}")
        return text

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= YEAR_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {YEAR_SECONDS}")
    return seconds


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0 seconds")
    return seconds


def _intervals(text: str) -> list[int]:
    intervals = list(map(_whole(0, YEAR_SECONDS), text.split(",")))
    if len(intervals) > MAX_RETRIES:
        raise argparse.ArgumentTypeError(f"there are {len(intervals)} intervals, and at most {MAX_RETRIES} retries")
    return intervals


def _events(text: str) -> list[str]:
    events = text.split(",")
    for event in events:
        if event not in CALLBACK_EVENTS:
            raise argparse.ArgumentTypeError(f"{event!r} is none of {', '.join(CALLBACK_EVENTS)}")
    return list(dict.fromkeys(events))


def _instant(text: str) -> str:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time with a time zone, such as 2030-01-31T08:00:00+01:00 or 2030-01-31T07:00:00Z"
        )
    return instant.isoformat()


def _dependency(text: str) -> DependencyOptions:
    job_id, colon, when = text.partition(":")
    if not job_id or (colon and when not in ("finished", "ended")):
        raise argparse.ArgumentTypeError(f"{text!r} does not have the form ID, ID:finished or ID:ended")
    return {"id": job_id, "when": "ended" if when == "ended" else "finished"}


def _limit(text: str) -> LimitOptions:
    key, _, number = text.rpartition("=")
    if key and number.isascii() and number.isdecimal():
        return {"key": key, "concurrency": int(number)}
    if key and re.fullmatch(RATE_PATTERN, number):
        return {"key": key, "rate": number}
    raise argparse.ArgumentTypeError(f"{text!r} does not have the form KEY=N or KEY=N/TIME, such as api=100/1m")


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not re.fullmatch(LABEL_NAME_PATTERN, name) or not re.fullmatch(LABEL_VALUE_PATTERN, value):
        raise argparse.ArgumentTypeError(f"{text!r} does not have the form NAME=VALUE, such as order=42")
    return name, value


def _unique_key(text: str) -> str:
    if not 1 <= len(text) <= MAX_UNIQUE_KEY_CHARACTERS:
        raise argparse.ArgumentTypeError(f"a key has 1 to {MAX_UNIQUE_KEY_CHARACTERS} characters")
    return text
