"""Secrets in what jobs tell and print."""

import time

import pytest

from worker_node.redaction import Redaction


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("password=hunter2 user=ann", "password=[redacted] user=ann"),
        ('{"db_password": "hunter 2", "n": 1}', '{"db_password": [redacted], "n": 1}'),
        ("API-Key: abc, next", "API-Key: [redacted], next"),
        ("export AWS_SECRET_ACCESS_KEY='x/y+z'", "export AWS_SECRET_ACCESS_KEY=[redacted]"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer [redacted]"),
        ("redis://user:hunter2@host:6379/0", "redis://user:[redacted]@host:6379/0"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key [redacted]."),
        ("wm_abcd1234_0123456789abcdefghijABCDEFGHIJ", "[redacted]"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4", "[redacted]"),
        ("customer ACME-1234567", "customer [redacted]"),
    ],
)
def test_a_secret_is_replaced(text: str, redacted: str) -> None:
    redaction = Redaction(r"ACME-\d{7} \bother\d+")
    assert redaction.of_text(text) == redacted
    assert redaction.of_bytes(text.encode()) == redacted.encode()


@pytest.mark.parametrize(
    "text", ["tokens: 512", "3 passwords changed", "https://example.com:8080/a@b", "the token ring", "\udcff bytes"]
)
def test_other_text_stays(text: str) -> None:
    raw = text.encode("utf-8", "surrogateescape")
    assert Redaction().of_bytes(raw) == raw


def test_bytes_beside_a_secret_stay_whatever_their_encoding_is() -> None:
    assert Redaction().of_bytes(b"\xff\n password=x \xe4") == b"\xff\n password=[redacted] \xe4"


def test_a_wrong_pattern_is_named_by_its_number_alone() -> None:
    with pytest.raises(ValueError, match=r"^pattern 2 is no regular expression: unterminated") as raised:
        Redaction("a [hush")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["a" * 8000, "token" * 1600, "eyJ" * 2600, "://" * 2600, "password=" * 800, "-" * 8000]
)
def test_no_line_takes_long(text: str) -> None:
    start = time.process_time()
    Redaction().of_text(text)
    assert time.process_time() - start < 0.25
