"""Fields that other programs have written, read as what they should be."""

import pytest

from jobqueue.stored_values import MAX_INTEGER, MAX_TEXT_BYTES, integer_of, number_of, record_of, text_of


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"5", 5),
        ("7", 7),
        (None, 1),
        (b"", 1),
        (b"x", 1),
        (b"1.5", 1),
        (b"-3", 0),
        (b"9" * 30, MAX_INTEGER),
        (b"9" * 9999, 1),
    ],
)
def test_an_integer_is_read_within_bounds_or_as_its_default(raw: bytes | str | None, expected: int) -> None:
    assert integer_of(raw, 1) == expected


@pytest.mark.parametrize(
    ("raw", "expected"), [(b"1.5", 1.5), (b"x", None), (b"nan", None), (b"inf", None), (None, None), (b"1e999", None)]
)
def test_a_number_is_finite_or_none(raw: bytes | None, expected: float | None) -> None:
    assert number_of(raw) == expected


def test_a_text_is_bounded_and_always_text() -> None:
    assert text_of(b"a\xffb") == "a\ufffdb"
    assert len(text_of(b"x" * MAX_TEXT_BYTES * 2)) == MAX_TEXT_BYTES


def test_a_hash_of_another_type_has_no_fields() -> None:
    assert record_of(None) == {}
    assert record_of([b"a", b"1", b"\xff", b"2"]) == {"a": b"1", "\ufffd": b"2"}
