"""What is passed on of a job's output: all of it, and no secret, wherever the pieces that are read end."""

from collections.abc import Sequence

import pytest

from worker_node.redaction import Redaction
from worker_node.slots.output_relay import MAX_LINE_BYTES, LineRelay


@pytest.mark.parametrize("place", range(0, 30, 3))
def test_a_secret_that_comes_in_two_pieces_is_replaced(place: int) -> None:
    line = b"it says password: abcdefghijklmnop and goes on\n"
    assert b"".join(_collected([line[:place], line[place:]])) == b"it says password: [redacted] and goes on\n"


@pytest.mark.parametrize("sign", [b": ", b"   =   "])
@pytest.mark.parametrize("place", range(12, 120, 2))
def test_a_secret_near_the_end_of_a_part_of_a_long_line_is_replaced(place: int, sign: bytes) -> None:
    """Wherever the part ends: within the secret, or some words behind it."""
    before = (b"word " * MAX_LINE_BYTES)[: MAX_LINE_BYTES - place]
    behind = b" and goes on for quite a while with a lot of short words, of which it is made, until it ends"
    line = before + b" password" + sign + b"abcdefghijklmnop" + behind
    pieces = [line[: MAX_LINE_BYTES + 1], line[MAX_LINE_BYTES + 1 :]]
    assert b"".join(_collected(pieces)) == before + b" password" + sign + b"[redacted]" + behind


@pytest.mark.parametrize("value", [b"abcdefghijklmnop", b"abcd,efgh,ijkl,mnop"])
@pytest.mark.parametrize("place", range(4, 60, 3))
def test_a_secret_in_a_long_line_of_compact_json_is_replaced(place: int, value: bytes) -> None:
    line = b'{"a":1,"b":"' + b"x" * MAX_LINE_BYTES + b'","password":"' + value + b'","goes":"on","and":"on"}'
    told = _collected([line[:-place], line[-place:]])
    assert b"".join(told) == line.replace(b'"' + value + b'"', b"[redacted]")


def test_a_long_line_without_blanks_is_passed_on_in_parts() -> None:
    pieces = [b"x" * 50_000] * 5
    told = _collected(pieces)
    assert b"".join(told) == b"x" * 250_000
    assert max(map(len, told)) < 3 * MAX_LINE_BYTES


def _collected(pieces: Sequence[bytes]) -> list[bytes]:
    """Return what is passed on, each time with secrets replaced."""
    told: list[bytes] = []
    redaction = Redaction()
    relay = LineRelay(lambda data: told.append(redaction.of_bytes(data)), redaction)
    for piece in pieces:
        relay.feed(piece)
    relay.close()
    return told
