"""Random records of managers, whoever has written them into Redis, are read, or said to be none."""

import json
from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.callbacks.entry import entry_of, job_id_of
from jobqueue.inspection.callback_listing import CallbackStatus, CallbackView
from jobqueue.inspection.changes import _changes
from manager.api_keys.record import KeyRecord
from manager.callbacks.message import message
from manager.events.subscriptions import status_event
from manager.jwt.claims import caller_from
from manager.jwt.errors import TokenRefused
from manager.operations.operation import Operation
from manager.schedules.record import Progress, Schedule
from manager.schemas.callbacks import details_document
from manager.schemas.keys import key_document
from manager.schemas.operations import operation_document
from tests.fuzzing import fuzz_settings
from tests.unit.jobqueue.test_fuzz_records import a_hash, flat
from tests.unit.manager.test_fuzz_requests import OBJECTS, VALUES

fuzz = fuzz_settings(25)

KEY = {
    "scopes": ["jobs:read"],
    "queues": ["a-*"],
    "created_at": 1.0,
    "created_by": "env-1",
    "expires_at": None,
    "secrets": [{"sha256": "00", "until": None}],
    "limits": {"requests_per_second": 1},
}
SCHEDULE = {
    "timing": {"cron": "* * * * *", "every_seconds": None, "timezone": "UTC", "start": None, "end": None},
    "overlap": "skip",
    "catch_up": {"within_seconds": 1, "runs": "latest"},
    "jitter_seconds": 0,
    "max_runs": None,
    "job": {"function": "noop"},
    "template": {},
}
RAW = st.one_of(st.binary(max_size=30), st.one_of(VALUES, OBJECTS).map(lambda value: json.dumps(value).encode()))
OPERATION_FIELDS = st.sampled_from(
    ["request", "position", "searched", "matched", "queues", "actor", "created_at", "started_at", "status", "note"]
)
REQUESTS = st.fixed_dictionaries(
    {"action": st.sampled_from(["requeue", "cancel"]), "filter": VALUES}, optional={"dry_run": VALUES}
)
CLAIMS = st.dictionaries(st.sampled_from(["sub", "scope", "queues", "exp", "iss"]), VALUES)


def changed(record: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return records of which some fields are something else."""
    changes = st.dictionaries(st.sampled_from(sorted(record)), VALUES, max_size=3)
    return changes.map(lambda change: json.dumps(record | change).encode())


@fuzz
@given(st.one_of(RAW, changed(KEY)))
def test_a_key_is_read_or_it_is_none(raw: bytes) -> None:
    with suppress(ValueError):
        record = KeyRecord.from_json("00", raw)
        record.valid_digests(1.0)
        orjson.dumps(key_document(record, 1.0))


@fuzz
@given(st.one_of(RAW, changed(SCHEDULE)))
def test_a_schedule_is_read_or_it_is_none(raw: bytes) -> None:
    with suppress(ValueError):
        assert Schedule.from_json("a", raw).offset_seconds >= 0


@fuzz
@given(st.dictionaries(st.sampled_from(["revision", "next", "last", "runs", "held", "paused", "created_at"]), RAW))
def test_how_far_a_schedule_has_come_is_read(fields: dict[str, bytes]) -> None:
    progress = Progress.from_fields(fields)
    orjson.dumps(progress)


@fuzz
@given(st.dictionaries(OPERATION_FIELDS, RAW), st.none() | REQUESTS)
def test_an_operation_is_read_or_it_is_none(fields: dict[str, bytes], request: dict[str, Any] | None) -> None:
    if request is not None:
        fields["request"] = json.dumps(request).encode()
    operation = Operation.from_fields("a", fields)
    if operation is not None:
        orjson.dumps(operation_document(operation))


@fuzz
@given(
    st.from_regex(r"[a-z_0-9]{0,20}", fullmatch=True),
    a_hash(
        *("job", "event", "time", "url", "host", "queue", "function", "attempts", "reason", "result", "tries", "log"),
        *("webhook", "call", "enqueued_at", "trace", "result_omitted"),
    ),
    st.none() | st.floats(),
)
def test_an_entry_of_the_outbox_is_shown(callback_id: str, fields: dict[str, bytes], due_at: float | None) -> None:
    entry = entry_of(callback_id, flat(fields))
    orjson.dumps(details_document(CallbackView(entry, CallbackStatus.WAITING, due_at)))
    assert message(entry) or entry.webhook is not None
    job_id_of(callback_id)


@fuzz
@given(
    st.one_of(RAW, st.from_regex(rb"[0-9]{1,21}-[0-9]{1,21}", fullmatch=True)),
    a_hash("id", "status", "queue", "labels", "progress", "lines"),
)
def test_a_change_becomes_an_event(entry_id: bytes, fields: dict[str, bytes]) -> None:
    (change,) = _changes([(entry_id, flat(fields))])
    assert status_event(change, "1-1").endswith(b"\n\n")


@fuzz
@given(CLAIMS)
def test_the_claims_of_a_token_are_read_or_refused(claims: dict[str, Any]) -> None:
    with suppress(TokenRefused):
        caller = caller_from(claims | {"sub": str(claims.get("sub")), "exp": 1e10}, "scope", "queues", 30.0)
        assert set(caller.scopes) <= {"jobs:read", "jobs:write", "results:pull", "admin"}
