"""Random records, whoever has written them into Redis, never crash what reads them, and can always be shown as JSON."""

import json
import zlib
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.audit import _entry
from jobqueue.error_message import error_message, first_line
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import show_arguments
from jobqueue.inspection.attempt_errors import _parse
from jobqueue.inspection.changes import _changes
from jobqueue.inspection.record_views import view_stored
from jobqueue.inspection.stored_jobs import FIELDS, StoredJob
from jobqueue.json_text import json_object, why_not_json, why_not_shown
from jobqueue.lifecycle.dependencies import stored_dependencies
from jobqueue.lifecycle.notes import told_progress
from jobqueue.rq_call import called_path, requested_function
from jobqueue.stored_values import integer_of, name_of, number_of
from jobqueue.workers.messages import WorkerCommand
from tests.fuzzing import fuzz_settings

fuzz = fuzz_settings(40)
FUNCTIONS = FunctionRegistry.discover(())

TEXTS = st.sampled_from(
    [
        *("finished", "failed", "queued", "rejected", "job", "worker_lost", "2026-01-01T00:00:00.000000Z", "a:b", "1"),
        *("\ud800", "é", "", "noop", "worker_node.functions.noop", "Traceback (most recent call last):\n  File", "-1"),
    ]
)
NAMES = st.sampled_from(
    [
        *("done", "total", "text", "at", "verb", "job_id", "reason", "trace", "ended_at", "worker", "url", "host"),
        *("events", "method", "timeout", "headers", "id", "queue", "status", "labels", "actor", "address"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**20), st.floats(), TEXTS, st.text(max_size=6)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=5),
    max_leaves=8,
)
RAW = st.one_of(
    st.binary(max_size=30),
    VALUES.map(lambda value: json.dumps(value).encode()),
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth),
    st.binary(max_size=30).map(zlib.compress),
    st.one_of(st.binary(max_size=30), VALUES.map(lambda value: json.dumps(value).encode())).map(b64encode),
    st.binary(max_size=30).map(lambda text: b64encode(zlib.compress(text))),
    st.sampled_from([b"9" * 5000, b"-" + b"1" * 400, b"1e999", b"nan", b"inf", b"\x80\x04", b"1_0", b" 1 "]),
)


def a_hash(*names: str) -> st.SearchStrategy[dict[str, bytes]]:
    return st.dictionaries(st.sampled_from(names), RAW, max_size=8)


def flat(fields: Mapping[str, bytes]) -> list[bytes]:
    return [part for name, value in fields.items() for part in (name.encode(), value)]


@fuzz
@given(
    st.text("ab\udcff", min_size=1),
    a_hash(*FIELDS, "data", "meta"),
    st.sampled_from([None, b"finished", b"failed", b"canceled"]),
    st.integers(0, 40),
    st.none() | st.floats(),
    st.dictionaries(st.sampled_from([b"return_value", b"exc_string", b"wm_version"]), RAW),
    st.integers(0, 1),
    st.sampled_from([(), ("*",)]),
)
def test_a_record_is_a_job_that_can_be_shown(
    job_id: str,
    fields: dict[str, bytes],
    status: bytes | None,
    meta_bytes: int,
    due_at: float | None,
    result: dict[bytes, bytes],
    left_out: int,
    hidden: tuple[str, ...],
) -> None:
    if status is not None:
        fields["status"] = status
    stored = StoredJob(fields, len(fields.get("data", b"")), len(fields.get("meta", b"")), due_at, result, left_out)
    view = view_stored(job_id, stored, FUNCTIONS, hidden)
    if view is None:
        return
    for name in ("id", "function", "queue", "status", "error", "created_at", "worker", "meta", "progress", "labels"):
        orjson.dumps(getattr(view, name))
    for name in ("attempts", "timeout_seconds", "retries_left", "due_at", "depends_on", "callback", "version"):
        orjson.dumps(getattr(view, name))
    if view.result is not None:
        json.loads(view.result)


@fuzz
@given(RAW, st.sampled_from([(), ("worker_node.*",)]))
def test_arguments_are_shown_or_said_to_be_unreadable(data: bytes, hidden: tuple[str, ...]) -> None:
    arguments = show_arguments(data, len(data), [requested_function(data, FUNCTIONS), called_path(data)], hidden)
    orjson.dumps(arguments)


@fuzz
@given(st.lists(st.tuples(RAW, a_hash("id", "status", "queue", "labels", "progress", "lines").map(flat)), max_size=3))
def test_changes_are_read(entries: list[Any]) -> None:
    for change in _changes(entries):
        assert change.at_ms >= 0
        orjson.dumps([change.status, change.labels, change.lines, told_progress(change.progress)])


@fuzz
@given(RAW)
def test_single_values_are_read_as_what_they_should_be(raw: bytes) -> None:
    orjson.dumps([integer_of(raw), number_of(raw), json_object(raw), told_progress(raw), _parse(raw)])
    name_of(raw).encode("utf-8", "surrogateescape")
    for parent, awaited in stored_dependencies(raw):
        assert isinstance(parent, str)
        assert awaited
    with suppress(ValueError):
        WorkerCommand.from_json(raw)


@fuzz
@given(RAW)
def test_what_is_json_can_be_read_as_json(raw: bytes) -> None:
    if not why_not_shown(raw):
        assert not why_not_json(raw)
        orjson.Fragment(raw)
        json.loads(raw)


@fuzz
@given(a_hash("author", "action", "target", "before", "after"), st.integers(0, 2**64), st.integers(0, 2**64))
def test_a_noted_change_is_read(fields: dict[str, bytes], at: int, number: int) -> None:
    entry = _entry(f"{at}-{number}", fields)
    orjson.dumps([entry.at, entry.author, entry.action, entry.target, entry.before, entry.after])


TRACEBACKS = st.lists(
    st.sampled_from(
        [
            *(
                "Traceback (most recent call last):",
                '  File "a", line 1, in b',
                "ValueError: x",
                "  | ",
                "  + ",
                "",
                " ",
            ),
            *("  +-+---------------- 1 ----------------", "During handling of the above exception, another", "\x00"),
        ]
    )
    | st.text(max_size=9)
).map("\n".join)


@fuzz
@given(TRACEBACKS)
def test_a_traceback_has_a_message(traceback: str) -> None:
    assert len(first_line(traceback).splitlines()) <= 1
    error_message(traceback).encode("utf-8", "replace")
