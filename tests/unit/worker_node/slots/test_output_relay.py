"""What is passed on of a job's output: all of it, and no secret, wherever the pieces that are read end."""

from collections.abc import Sequence

import pytest

from worker_node.redaction import Redaction
from worker_node.slots.output_relay import MAX_LINE_BYTES, LineRelay


@pytest.mark.parametrize("place", range(0, 30, 3))
def test_a_secret_that_comes_in_two_pieces_is_replaced(place: int) -> None:
    line = b"it says password: abcdefghijklmnop and goes on\n"
    assert b"".join(_collected([line[:place], line[place:]])) == b"it says password: [redacted] and goes on\n"


@pytest.mark.parametrize("place", range(12, 44, 2))
def test_a_secret_across_the_end_of_a_part_of_a_long_line_is_replaced(place: int) -> None:
    before = (b"word " * MAX_LINE_BYTES)[: MAX_LINE_BYTES - place]
    line = before + b" password: abcdefghijklmnop and goes on"
    pieces = [line[: MAX_LINE_BYTES + 1], line[MAX_LINE_BYTES + 1 :]]
    told = b"".join(_collected(pieces))
    assert b"ijklmnop" not in told
    assert told.endswith(b" password: [redacted] and goes on")
    assert told.startswith(before)


def test_a_long_line_without_blanks_is_passed_on_in_parts() -> None:
    pieces = [b"x" * 50_000] * 5
    told = _collected(pieces)
    assert b"".join(told) == b"x" * 250_000
    assert max(map(len, told)) < 3 * MAX_LINE_BYTES


def _collected(pieces: Sequence[bytes]) -> list[bytes]:
    """Return what is passed on, each time with secrets replaced."""
    told: list[bytes] = []
    relay = LineRelay(lambda data: told.append(Redaction().of_bytes(data)))
    for piece in pieces:
        relay.feed(piece)
    relay.close()
    return told
