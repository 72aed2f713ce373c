"""Frames in a stream to which a job can write anything."""

import random

import pytest

from worker_node.ipc.frames import FIRST_KEY, KEY_BYTES, FrameReader, FrameWriter, new_key, read_key

MAX_BYTES = 1000
KEY = b"\x01secret\xff"


@pytest.fixture
def reader() -> FrameReader:
    reader = FrameReader(MAX_BYTES)
    reader.use_key(KEY)
    return reader


def _frame(payload: bytes, key: bytes = KEY, size: int | None = None) -> bytes:
    return key + (len(payload) if size is None else size).to_bytes(4, "big") + payload


def test_an_executor_tells_its_key_in_its_first_frame() -> None:
    reader, key = FrameReader(MAX_BYTES), new_key()
    (payload,) = reader.feed(FrameWriter(FIRST_KEY).pack(key))
    assert read_key(payload) == key
    reader.use_key(key)
    assert reader.feed(FrameWriter(key).pack(7)) == [b"\x07"]


@pytest.mark.parametrize("payload", [None, b"\x07", b"\xc4\x03abc"], ids=["no frame", "a number", "too short"])
def test_a_first_frame_without_a_key_lets_no_later_frame_be_read(payload: bytes | None) -> None:
    key = read_key(payload)
    assert (len(key), key == read_key(payload)) == (KEY_BYTES, False)


def test_frames_are_read_however_they_are_cut(reader: FrameReader) -> None:
    stream = _frame(b"one") + _frame(b"") + _frame(b"x" * MAX_BYTES)
    found = [payload for position in range(len(stream)) for payload in reader.feed(stream[position : position + 1])]
    assert found == [b"one", b"", b"x" * MAX_BYTES]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 13,
        b"\xff" * 5000,
        _frame(b"forged", key=b"x" * KEY_BYTES),
        _frame(b"", size=MAX_BYTES + 1),
        _frame(b"", size=1 << 31),
        b"garbage" + KEY[:5] + b"garbage",
    ],
    ids=["zeros", "much", "another key", "too large", "huge", "parts of the key"],
)
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_garbage_between_two_frames_is_noticed_once_and_costs_neither(
    reader: FrameReader, garbage: bytes, step: int
) -> None:
    stream = _frame(b"before") + garbage + _frame(b"after") + _frame(b"last")
    found = [payload for start in range(0, len(stream), step) for payload in reader.feed(stream[start : start + step])]
    assert found == [b"before", None, b"after", b"last"]


def test_even_one_wrong_byte_is_noticed_at_once(reader: FrameReader) -> None:
    assert reader.feed(_frame(b"before") + b"\0") == [b"before", None]
    assert reader.feed(b"\0" + KEY[:3]) == []
    assert reader.feed(_frame(b"after")[3:]) == [b"after"]


def test_what_is_kept_of_a_stream_of_garbage_is_bounded(reader: FrameReader) -> None:
    source = random.Random(12)
    assert reader.feed(source.randbytes(100_000)) == [None]
    for _ in range(100):
        assert reader.feed(source.randbytes(10_000)) == []
    assert reader.pending_bytes <= 100
    assert reader.feed(_frame(b"after")) == [b"after"]
