"""Where commands in an append-only file begin and end, and the gaps between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workmanager.append_only.commands import Damaged, find_gaps, may_have_gaps

WORDS = st.lists(st.binary(max_size=40) | st.just(b"\r\n\0\0*1\r\n$4\r\nPING\r\n"), min_size=1, max_size=4)
REMARK = b"#TS:1700000000\r\n"


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def without(data: bytes, gaps: list[tuple[int, int]]) -> bytes:
    for start, end in reversed(gaps):
        data = data[:start] + data[end:]
    return data


@given(st.lists(st.tuples(WORDS, st.integers(0, 5)), max_size=6), st.integers(0, 5))
def test_exactly_the_nuls_between_commands_are_gaps_whatever_the_commands_contain(
    parts: list[tuple[list[bytes], int]], first: int
) -> None:
    commands = [command(*words) for words, _ in parts]
    lengths = [first, *(length for _, length in parts)]
    data = bytes(first) + b"".join(text + bytes(length) for text, length in zip(commands, lengths[1:], strict=True))
    gaps = find_gaps(data)
    assert without(data, gaps) == b"".join(commands)
    assert [end - start for start, end in gaps] == [length for length in lengths if length]
    assert may_have_gaps(data) or not gaps


def test_remarks_are_allowed_between_commands() -> None:
    data = REMARK + command(b"PING") + bytes(3) + REMARK + command(b"PING")
    assert find_gaps(data) == [(len(REMARK + command(b"PING")), len(REMARK + command(b"PING")) + 3)]


@given(WORDS, st.data())
def test_a_file_that_ends_within_a_command_is_taken_without_it(words: list[bytes], data: st.DataObject) -> None:
    whole = command(*words)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert find_gaps(command(b"PING") + bytes(2) + cut) == [(14, 16)]


@pytest.mark.parametrize(
    "damage",
    [
        b"garbage\r\n" * 4,
        b"*2\r\n$3\r\nGET\r\n" + bytes(30) + command(b"PING"),
        b"*1\r\n$4\r\nPINGPONG\r\n" + command(b"PING"),
        b"*x\r\n" + command(b"PING"),
        b"*-1\r\n" + command(b"PING"),
        b"*1\r\n$99999999999999999999\r\n" + command(b"PING"),
        b"*1\r\n:4\r\n" + command(b"PING"),
    ],
)
def test_damage_is_found_at_the_command_where_it_begins(damage: bytes) -> None:
    with pytest.raises(Damaged, match="no command begins at byte 14"):
        find_gaps(command(b"PING") + damage)
