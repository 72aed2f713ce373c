"""Lines are complete, however the body was split into pieces."""

import pytest

from manager.http.ndjson import LineSplitter

BODY = b'{"a":1}\n\n  \r\n{"b":2}\r\nlast'


def split(*pieces: bytes, max_line_bytes: int = 100) -> list[bytes | None]:
    splitter = LineSplitter(max_line_bytes)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.finish()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_the_pieces(size: int) -> None:
    pieces = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    assert split(*pieces) == [b'{"a":1}', b'{"b":2}', b"last"]


def test_only_the_line_that_is_too_long_is_dropped() -> None:
    assert split(b"short\nlo", b"ng long", b" long\nshort\n", max_line_bytes=5) == [b"short", None, b"short"]


def test_an_empty_body_has_no_lines() -> None:
    assert split(b"") == []
    assert split(b"\n \n\r\n") == []
