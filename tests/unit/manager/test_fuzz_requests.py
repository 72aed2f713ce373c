"""Random bodies, cursors, forms and header fields never crash a route: they are taken, or refused with a Problem."""

import asyncio
import json
import math
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.callback_listing import _bound, _read_cursor
from jobqueue.inspection.listing import InvalidCursor, _Position
from jobqueue.inspection.newest_merge import entry_of
from jobqueue.stored_values import sent_name
from manager.api_keys.record import id_of
from manager.api_keys.table import KeysUnknown, KeyTable
from manager.callbacks.target import check_target
from manager.dashboard.forms import own_page, read_form
from manager.dashboard.issuer_sign_in import _read_attempt, _read_query
from manager.events.replay import positions_of
from manager.http.asgi import FIELDS
from manager.http.authentication import ApiKeyAuth
from manager.http.dashboard_paths import is_dashboard_path
from manager.http.host_check import HostCheck
from manager.http.page_origin import check_own_page
from manager.http.problems import Problem, validation_problem
from manager.http.request_origin import PROXIES, RequestIds, TrustedProxies
from manager.schedules.cron import check_syntax, in_words
from manager.schedules.zones import zone_of
from manager.schemas.acknowledge import AcknowledgeBody
from manager.schemas.callback_check import CallbackCheck
from manager.schemas.callbacks import ListenerAckBody, ReplayBody
from manager.schemas.job_factory import JobFactory
from manager.schemas.keys import KeyBody, KeyLimitsBody, RollBody
from manager.schemas.limits import LimitNumbers
from manager.schemas.operations import OperationBody
from manager.schemas.schedule_body import PauseBody
from manager.schemas.schedule_builder import build_schedule
from manager.schemas.wait import WaitBody
from manager.schemas.workflow import WorkflowBody, edges_of
from outgoing.guard import Guard
from processes.tracing.context import parse_context, parse_text
from tests.fuzzing import fuzz_settings

fuzz = fuzz_settings(40)
GUARD = Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", "")
FACTORY = JobFactory(FunctionRegistry.discover(()), 1000, CallbackCheck(GUARD, may_be_sent=True))
BODIES: list[type[BaseModel]] = [
    *(OperationBody, WaitBody, WorkflowBody, KeyBody, KeyLimitsBody, RollBody, LimitNumbers),
    *(PauseBody, ReplayBody, ListenerAckBody, AcknowledgeBody),
]

WORDS = st.sampled_from(
    [
        *("sha512", "noop", "http", "default", "a:b", "finally", "fifo", "job", "ended", "requeue", "failed", "true"),
        *("2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.9999999-23:59", "Europe/Berlin"),
        *("* * * * *", "@daily", "0 0 31 2 *", "1h", "90d", "listen:a", "http://a.example/", "http://[::1]:0/", ""),
        *("\0", "\ud800", "é", "a" * 300, "QUJD", "NaN", "jobs:read", "..", "a/b?c#d", "*", "_", "-", "{", "${"),
    ]
)
NAMES = st.sampled_from(
    [
        *("function", "args", "kwargs", "data", "queue", "order", "timeout", "retry", "max", "intervals", "unique"),
        *("key", "within", "delay", "at", "result_ttl", "feed", "isolation", "depends_on", "id", "when", "callback"),
        *("callback_url", "url", "events", "include", "meta", "labels", "limits", "fair_key", "jobs", "finally", "job"),
        *("cron", "every", "timezone", "start", "end", "overlap", "catch_up", "runs", "jitter", "max_runs", "action"),
        *("filter", "status", "reason", "label", "dry_run", "ids", "any", "all", "scopes", "queues", "expires"),
        *("overlap", "requests_per_second", "concurrency", "rate", "per", "note", "until", "since", "host", "receipts"),
    ]
)
NUMBERS = st.one_of(
    st.integers(-3, 100), st.sampled_from([10**18, 2**63, 2**64, 10**400, -1e308, 1e-320, 0.5]), st.floats()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | WORDS, inner, max_size=6),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)
JSON_TEXTS = st.one_of(
    st.one_of(OBJECTS, VALUES).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.integers(1, 3000).map(lambda depth: b'{"args":' + b"[" * depth + b"]" * depth + b"}"),
)


@fuzz
@given(JSON_TEXTS, st.booleans())
def test_a_submission_is_made_a_job_or_refused(raw: bytes, named: bool) -> None:
    if named and raw.startswith(b"{"):
        raw = b'{"function":"noop"' + (b"," if len(raw) > 2 else b"") + raw[1:]
    job = answer_of(lambda: FACTORY.create_job(FACTORY.parse(raw), "an-id"))
    assert job is None or (json.loads(job.data) and json.loads(job.meta or b"{}") is not None)


@fuzz
@given(JSON_TEXTS, VALUES)
def test_a_schedule_is_built_or_refused(raw: bytes, every: Any) -> None:
    for text in (raw, json.dumps({"every": every, "job": {"function": "noop"}}).encode()):
        schedule = answer_of(lambda text=text: build_schedule("a", text, FACTORY, None))
        assert schedule is None or schedule.from_json("a", schedule.to_json().encode()) == schedule


@fuzz
@given(JSON_TEXTS, st.sampled_from(BODIES))
def test_any_other_body_is_taken_or_refused(raw: bytes, model: type[BaseModel]) -> None:
    def parse() -> None:
        try:
            body = model.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        if isinstance(body, WorkflowBody):
            edges_of(body)

    answer_of(parse)


@fuzz
@given(
    st.lists(st.sampled_from(["*", "0", "59", ",", "-", "/", "L", "#", "MON", " ", "@daily", "99", "é"]), max_size=24)
)
def test_a_cron_expression_is_put_into_words_or_refused(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        check_syntax(text)
    except ValueError:
        return
    assert in_words(text)


@fuzz
@given(st.one_of(WORDS, st.text(max_size=20)))
def test_a_time_zone_is_found_or_refused(name: str) -> None:
    with suppress(ValueError):
        zone_of(name)


SCORES = st.one_of(NUMBERS, st.none(), WORDS, st.booleans())
CURSORS = st.one_of(
    st.tuples(WORDS | st.sampled_from(["pending", "dead", "delivered"]), SCORES, WORDS | st.text(max_size=9)),
    st.tuples(SCORES, WORDS | st.text(max_size=9)),
    st.tuples(WORDS, SCORES, WORDS | st.text(max_size=9), SCORES),
    VALUES,
).map(lambda value: urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("="))


@fuzz
@given(st.one_of(CURSORS, st.from_regex(r"[A-Za-z0-9_-]{1,99}", fullmatch=True)))
def test_a_cursor_is_a_place_that_redis_understands_or_is_refused(cursor: str) -> None:
    scores = []
    with suppress(InvalidCursor):
        _, (score, name) = _read_cursor(cursor)
        scores.append(float(_bound(score)))
        json.dumps(name)
    with suppress(InvalidCursor):
        scores.append(entry_of(cursor)[0])
    with suppress(InvalidCursor):
        position = _Position.from_text(cursor)
        assert 0 <= position.offset < 2**63
        sent_name(position.queue)
    assert not any(map(math.isnan, scores)), "Redis has no such score"


@fuzz
@given(st.one_of(st.from_regex(r"[0-9,-]{0,60}", fullmatch=True), st.text(max_size=30)), st.integers(1, 3))
def test_the_id_of_an_event_is_read_or_not_known(event_id: str, shards: int) -> None:
    positions = positions_of(event_id, shards)
    assert positions is None or len(positions) == shards


@fuzz
@given(
    st.one_of(
        st.lists(st.sampled_from(["http://", "/", "\\", "dashboard", "?a=b", "#", "[", "]", ":", "\t", "é", "//"])).map(
            "".join
        ),
        st.text(max_size=20),
    )
)
def test_the_way_back_leads_to_a_page_of_the_dashboard(text: str) -> None:
    page = own_page(text)
    assert page.startswith("/")
    assert not page.startswith(("//", "/\\"))
    assert is_dashboard_path(page.partition("?")[0].partition("#")[0])


@fuzz
@given(
    st.one_of(st.binary(max_size=40), st.lists(st.sampled_from([b"a=", b"&", b"%", b"%ff", b";", b"+"])).map(b"".join))
)
def test_a_form_is_read_or_refused(body: bytes) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", FIELDS: {b"content-type": b"application/x-www-form-urlencoded"}}
    answer_of(lambda: asyncio.run(read_form(Request(scope, receive))))


@fuzz
@given(st.one_of(WORDS, st.text(max_size=30), st.text("htp:/[].@%0127x", max_size=30).map("http://".__add__)))
def test_the_url_of_a_callback_is_permitted_or_refused(url: str) -> None:
    try:
        target = check_target(url, GUARD)
    except ValueError:
        return
    assert target.host.isascii()


@fuzz
@given(st.one_of(JSON_TEXTS, st.lists(WORDS, max_size=3).map(lambda value: json.dumps(value).encode())), st.binary())
def test_what_an_issuer_sends_back_is_read_or_refused(attempt: bytes, query: bytes) -> None:
    cookie = b"workmanager_sign_in=" + urlsafe_b64encode(attempt).rstrip(b"=")
    begun, page = _read_attempt({FIELDS: {b"cookie": cookie}})
    assert is_dashboard_path(page.partition("?")[0].partition("#")[0])
    if begun is not None:
        assert begun.state
        assert begun.redirect_url.isascii()
    answer_of(lambda: _read_query({"query_string": query}))


@fuzz
@given(
    st.one_of(st.text(max_size=60), st.from_regex(r"0[01]-[0-9a-f]{32}-[0-9a-f]{16}-0[01](-a)?", fullmatch=True)),
    st.text(max_size=20),
)
def test_where_a_request_stands_in_a_trace_is_read_or_not_known(traceparent: str, tracestate: str) -> None:
    context = parse_context(traceparent, tracestate)
    if context is not None:
        assert parse_text(context.text) == context
        assert all(value.isascii() and value.isprintable() for value in context.headers.values())


FIELD_VALUES = st.one_of(
    st.binary(max_size=30),
    st.lists(
        st.sampled_from(
            [
                *(b"127.0.0.1", b"[::1]", b"localhost", b":80", b".", b",", b" ", b"10.0.0.1", b"[", b"]", b"http://"),
                *(b"same-origin", b"cross-site", b"null", b"Bearer ", b"wm_", b"_x", b"a.b.c", b"workmanager_session="),
                *(b"env-1", b"9" * 99, b";", b"\xc3\xa9", b"x" * 99),
            ]
        ),
        max_size=6,
    ).map(b"".join),
)
FIELD_NAMES = st.sampled_from(
    [b"host", b"origin", b"sec-fetch-site", b"authorization", b"cookie", b"x-forwarded-for", b"x-request-id"]
)


@fuzz
@given(st.dictionaries(FIELD_NAMES, FIELD_VALUES), st.sampled_from(["/jobs", "/", "/healthz", "/dashboard/x"]))
def test_header_fields_open_nothing(fields: Mapping[bytes, bytes], path: str) -> None:
    scope: dict[str, Any] = {FIELDS: fields, "path": path, "method": "GET", "query_string": b"a=\xff"}
    scope["client"] = ("10.0.0.1", 1)
    auth = ApiKeyAuth(["a-key-of-some-length"], KeyTable())
    answer_of(lambda: HostCheck((), has_keys=False).check(path, fields))
    answer_of(lambda: check_own_page(fields))
    id_of(fields.get(b"authorization", b""))
    assert RequestIds().of(fields).isascii()
    assert scope[FIELDS] is fields
    scope[PROXIES] = TrustedProxies(["10.0.0.0/8", "::/0"])
    assert orjson.dumps(scope[PROXIES].client_of(scope))
    if path != "/healthz":
        with pytest.raises((Problem, KeysUnknown)):
            auth.check(scope)


def answer_of(ask: Callable[[], Any]) -> Any:
    """Return the answer; None for a refusal, which can be sent."""
    refusal = None
    try:
        return ask()
    except Problem as problem:
        refusal = problem
    assert refusal.status < 500
    assert refusal.to_json("/")
    return None
