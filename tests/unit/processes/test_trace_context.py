"""W3C's Trace Context: what is understood, and what is passed on."""

import subprocess
import sys

import pytest

from jobqueue.traces import run_context
from processes.tracing.context import TraceContext, context_of_request, parse_context, parse_text

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = TraceContext(TRACE, SPAN, sampled=True)


@pytest.mark.parametrize(
    ("traceparent", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", GIVEN),
        (f"00-{TRACE}-{SPAN}-00", GIVEN._replace(sampled=False)),
        (f"00-{TRACE}-{SPAN}-03", GIVEN),  # A flag that this version of the standard does not know.
        (f"cc-{TRACE}-{SPAN}-01-what-comes", GIVEN),  # A later version of the standard.
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f" 00-{TRACE}-{SPAN}-01\n", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(traceparent: str, expected: TraceContext | None) -> None:
    assert parse_context(traceparent) == expected


@pytest.mark.parametrize(
    ("tracestate", "kept"),
    [("a=1,b=2", "a=1,b=2"), ("", ""), ("a=\x01", ""), ("a=é", ""), ("a=" + "1" * 511, ""), (" a=1", "")],
)
def test_a_tracestate_is_passed_on_if_it_can_be(tracestate: str, kept: str) -> None:
    context = parse_context(GIVEN.traceparent, tracestate)
    assert context == GIVEN._replace(state=kept)
    assert parse_text(context.text) == context
    assert context.headers == {"traceparent": GIVEN.traceparent, **({"tracestate": kept} if kept else {})}


def test_a_request_without_a_traceparent_comes_from_nowhere() -> None:
    assert context_of_request({b"tracestate": b"a=1"}) is None
    fields = {b"traceparent": GIVEN.traceparent.encode(), b"tracestate": b"a=1"}
    assert context_of_request(fields) == GIVEN._replace(state="a=1")
    assert context_of_request({b"traceparent": b"\xff"}) is None


def test_each_run_has_a_span_of_its_own_and_everybody_knows_which() -> None:
    first = run_context("job", "token", GIVEN, joins=False)
    assert first == run_context("job", "token", GIVEN, joins=False)
    assert parse_context(first.traceparent) == first
    others = {run_context("job", "other", GIVEN, joins=False), run_context("other", "token", GIVEN, joins=False)}
    assert len({first.trace_id, *(other.trace_id for other in others)}) == 3


def test_a_run_that_joins_is_in_the_trace_of_the_submission() -> None:
    given = GIVEN._replace(sampled=False, state="a=1")
    run = run_context("job", "token", given, joins=True)
    assert run._replace(span_id=SPAN) == given
    assert run.span_id != SPAN
    assert run_context("job", "token", None, joins=True) == run_context("job", "token", GIVEN, joins=False)


@pytest.mark.parametrize(
    ("module", "beginning"),
    [
        # redis-py imports parts of OpenTelemetry's SDK wherever it is installed.
        ("worker_node.__main__", "opentelemetry.exporter"),
        ("worker_node.__main__", "processes.tracing.spans"),
        ("worker_node.executor.__main__", "opentelemetry"),
        ("workmanager.client", "opentelemetry"),
    ],
)
def test_programs_that_do_not_trace_import_nothing_of_it(module: str, beginning: str) -> None:
    check = f"import sys, {module}; print([name for name in sys.modules if name.startswith({beginning!r})])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
