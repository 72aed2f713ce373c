"""Reading recorded arrivals."""

import gzip
from pathlib import Path

import pytest

from scaler.simulation.trace import TracedJob, TraceError, read_trace, write_trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.4799600,100,50\n"
)
SWF = (
    "; Version: 2.2\n"
    "  1  100 -1  1451 128 -1 -1 -1 -1 -1 -1 1 1 7 -1 -1 -1 -1\n"
    "  2  160 -1    -1 128 -1 -1 -1 -1 -1 -1 1 1 7 -1 -1 -1 -1\n"
    "  3  190 -1    10 128 -1 -1 -1 -1 -1 -1 1 1 -1 -1 -1 -1 -1\n"
)


def _read(folder: Path, text: str, format_name: str) -> list[TracedJob]:
    path = folder / "trace"
    path.write_text(text)
    return read_trace(path, format_name)


def test_the_csv_format_is_sorted_and_starts_at_zero(tmp_path: Path) -> None:
    jobs = _read(tmp_path, "submit_s,service_s,function\n15,2.5,f\n10,1,g\n", "csv")
    assert jobs == [TracedJob(0.0, 1.0, "g"), TracedJob(5.0, 2.5, "f")]


def test_a_written_trace_is_read_back(tmp_path: Path) -> None:
    jobs = [TracedJob(0.0, 1.5, "f"), TracedJob(2.25, 0.0, "g")]
    write_trace(tmp_path / "t.csv", jobs)
    assert read_trace(tmp_path / "t.csv", "csv") == jobs


def test_azure_tokens_become_seconds(tmp_path: Path) -> None:
    first, second = _read(tmp_path, AZURE, "azure")
    assert first.service_seconds == pytest.approx(0.02 * 10 + 0.0002 * 4808)
    assert second.service_seconds == pytest.approx(0.02 * 50 + 0.0002 * 100)
    assert second.submit_seconds == pytest.approx(0.5)


def test_swf_jobs_without_a_run_time_are_skipped(tmp_path: Path) -> None:
    jobs = _read(tmp_path, SWF, "swf")
    assert jobs == [TracedJob(0.0, 1451.0, "application-7"), TracedJob(90.0, 10.0, "application--1")]


def test_gzip_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(SWF.encode()))
    assert len(read_trace(tmp_path / "log", "swf")) == 2


@pytest.mark.parametrize(
    ("text", "format_name", "named"),
    [
        ("", "csv", "submit_s"),
        ("submit_s,service_s\n", "csv", "no jobs"),
        ("submit_s,service_s\n1,x\n", "csv", "line 2"),
        ("submit_s\n1\n", "csv", "service_s"),
        ("submit_s,service_s\n1,-5\n", "csv", "line 2"),
        ("submit_s,service_s\nnan,5\n", "csv", "line 2"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nnow,1,2\n", "azure", "line 2"),
        ("1 2 3\n", "swf", "line 1"),
    ],
)
def test_an_unreadable_trace_is_named(tmp_path: Path, text: str, format_name: str, named: str) -> None:
    with pytest.raises(TraceError, match=named):
        _read(tmp_path, text, format_name)
