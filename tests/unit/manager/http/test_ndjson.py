"""Lines come out whole, however the body was cut."""

import pytest

from manager.http.ndjson import LineSplitter

BODY = b'{"a":1}\n\n  \r\n{"b":2}\r\nlast'


def split(*pieces: bytes, most_bytes: int = 100) -> list[bytes | None]:
    splitter = LineSplitter(most_bytes)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.finish()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_the_pieces(size: int) -> None:
    pieces = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    assert split(*pieces) == [b'{"a":1}', b'{"b":2}', b"last"]


def test_a_line_that_is_too_long_is_passed_over_alone() -> None:
    assert split(b"short\nlo", b"ng long", b" long\nshort\n", most_bytes=5) == [b"short", None, b"short"]


def test_nothing_has_no_lines() -> None:
    assert split(b"") == []
    assert split(b"\n \n\r\n") == []
