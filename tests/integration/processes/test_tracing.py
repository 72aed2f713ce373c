"""Tracing as programs set it up: what they send, and what a collector that is away costs them."""

import logging
import sys
import time

import pytest

from processes.tracing.context import TraceContext
from processes.tracing.setup import open_tracing
from tests.otlp_receiver import OtlpReceiver
from tests.waiting import until
from workmanager.local.ports import free_port

MANY = 5_000
"""More spans than are kept."""
COLLECTOR_SECONDS = 60
"""How long it takes to give up a collector that does not answer."""


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")


def test_spans_go_to_the_collector_under_the_name_that_the_variables_give(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        for service in ("ours", ""):
            monkeypatch.setenv("OTEL_SERVICE_NAME", service)
            _open().start("hello", _kind(), {"answer": 42}).end()
            (span,) = collector.wait(lambda span, name=service: span.service == (name or "program"))  # type: ignore[misc]
            assert (span.name, span.kind, span.attributes) == ("hello", "PRODUCER", {"answer": 42})
        assert collector.paths == {"/v1/traces"}


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "hangs"])
def test_a_collector_that_is_away_delays_nobody(refuses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as collector:
        collector.block()
        url = f"http://127.0.0.1:{free_port()}" if refuses else collector.url
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(COLLECTOR_SECONDS))
        monkeypatch.setattr("processes.tracing.spans.CLOSE_SECONDS", 0.2)
        tracing = _open()
        began = time.monotonic()
        for _ in range(MANY):
            tracing.start("hello", _kind(), {}).end()
        assert time.monotonic() - began < COLLECTOR_SECONDS / 2
        began = time.monotonic()
        tracing.close()
        assert time.monotonic() - began < 5  # Hardly more than CLOSE_SECONDS, on a machine that is not busy.


def test_it_is_told_once_that_the_collector_is_away_and_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with OtlpReceiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracing = _open()
        collector.block()
        for number in range(1, 4):
            tracing.start(f"lost {number}", _kind(), {}).end()
            until(lambda count=number: collector.requests >= count, wanted="a request")  # type: ignore[misc]
        collector.unblock()

        def is_back() -> bool:
            tracing.start("found", _kind(), {}).end()
            return "event=traces_available" in caplog.text

        until(is_back, wanted="the collector")
        tracing.close()
    assert caplog.text.count("event=traces_unavailable") == 1
    assert "lost=" in caplog.text
    assert [record for record in caplog.records if record.name.startswith("opentelemetry.exporter")] == []


def test_without_the_setting_or_with_the_sdk_turned_off_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_tracing("off", "program") is None
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert open_tracing("linked", "program") is None


def test_without_the_sdk_a_program_runs_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    assert open_tracing("linked", "program") is None
    assert "event=traces_off" in caplog.text
    assert "install workmanager[otel]" in caplog.text


def test_nothing_else_makes_spans_with_our_provider() -> None:
    """FastAPI and others would, with query strings in them, if it were the global one."""
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

    tracing = _open()
    assert isinstance(get_tracer_provider(), ProxyTracerProvider)
    tracing.close()


def test_a_span_has_the_ids_that_were_chosen_and_the_next_has_others() -> None:
    from processes.tracing.spans import context_of

    tracing, chosen = _open(), TraceContext("c" * 32, "d" * 16, sampled=True)
    assert context_of(tracing.start("chosen", _kind(), {}, ids=chosen)) == chosen
    assert context_of(tracing.start("random", _kind(), {})).trace_id != chosen.trace_id
    tracing.close()


def _open():  # type: ignore[no-untyped-def]  # Its type would import the SDK before a test can hide it.
    tracing = open_tracing("linked", "program")
    assert tracing is not None
    return tracing


def _kind():  # type: ignore[no-untyped-def]  # As above.
    from processes.tracing.spans import PRODUCER

    return PRODUCER
