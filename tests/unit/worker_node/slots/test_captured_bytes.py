"""What is kept of a stream: whole lines of the right job, its head and its tail."""

from worker_node.slots.captured_bytes import HEAD_BYTES, MAX_PARTIAL_BYTES, TAIL_BYTES, CapturedBytes


def captured(*pieces: bytes) -> CapturedBytes:
    """Return what was read in these pieces, the first one at 1 ms, the next one at 2 ms."""
    stream = CapturedBytes()
    for at_ms, piece in enumerate(pieces, 1):
        stream.append(piece, at_ms)
    return stream


def test_lines_have_the_time_of_their_end_and_belong_to_the_job_in_whose_range_they_are() -> None:
    stream = captured(b"one\ntw", b"o\nthree", b"\nfour")
    lines, rest = stream.split(0, 8)
    assert lines == [(1, "one"), (2, "two")]
    lines, rest = rest.split(8, 18)
    assert lines == [(3, "three"), (3, "four")]
    assert rest.split(0, rest.end)[0] == []


def test_what_comes_before_a_jobs_range_is_dropped() -> None:
    lines, rest = captured(b"stray\nown\nnext").split(6, 10)
    assert lines == [(1, "own")]
    assert rest.split(0, 100)[0] == [(1, "next")]


def test_of_a_running_job_only_lines_that_have_ended_are_taken_unless_one_is_very_long() -> None:
    stream = captured(b"whole\npart")
    assert stream.last_line_end() == 6
    assert captured(b"part").last_line_end() == 0
    assert captured(b"x" * (MAX_PARTIAL_BYTES + 1)).last_line_end() == MAX_PARTIAL_BYTES + 1


def test_head_and_tail_are_kept_and_the_rest_is_counted() -> None:
    stream = CapturedBytes()
    for number in range(100_000):
        stream.append(b"%06d\n" % number, number)
        stream.cut()
    lines, _ = stream.split(0, stream.end)
    texts = [text for _, text in lines]
    assert (texts[0], texts[-1]) == ("000000", "099999")
    (at,) = [place for place, text in enumerate(texts) if "left out" in text]
    left_out_bytes = 700_000 - HEAD_BYTES - TAIL_BYTES
    assert texts[at] == f"({left_out_bytes // 7 + 1:,} lines, {left_out_bytes:,} bytes are left out here)"
    assert texts[at + 1 :] == [f"{number:06d}" for number in range(100_000 - len(texts) + at + 1, 100_000)]


def test_a_job_in_the_same_piece_as_a_loud_one_keeps_its_lines() -> None:
    loud = b"x" * (HEAD_BYTES + TAIL_BYTES + 100)
    stream = captured(loud + b"quiet\n" + loud)
    lines, rest = stream.split(0, len(loud))
    assert [text for _, text in lines if "left out" in text] == ["(0 lines, 100 bytes are left out here)"]
    lines, rest = rest.split(len(loud), len(loud) + 6)
    assert lines == [(1, "quiet")]
    assert len(rest.split(0, rest.end)[0]) == 3


def test_a_range_that_is_a_lie_takes_nothing_of_what_comes_later() -> None:
    stream = captured(b"one\n")
    assert stream.split(10, 5)[0] == []
    lines, rest = stream.split(0, 1 << 60)
    assert lines == [(1, "one")]
    assert rest.end == 4
    rest.append(b"two\n", 2)
    assert rest.split(0, rest.end)[0] == [(2, "two")]


def test_a_progress_bar_is_shown_as_a_terminal_shows_it() -> None:
    assert captured(b"\r 10%\r 50%\r100%\nend\r\n").split(0, 99)[0] == [(1, "100%"), (1, "end")]


def test_bytes_that_are_no_text_are_shown_as_far_as_possible() -> None:
    assert captured(b"\xff ok").split(0, 9)[0] == [(1, "\ufffd ok")]
