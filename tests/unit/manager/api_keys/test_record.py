"""The record of an API key: what is stored, how long its secrets are valid, and which queues it sees."""

import json
import re

import pytest

from manager.api_keys.caller import Caller
from manager.api_keys.record import MAX_SECRETS, KeyRecord, digest_of, id_of, matches, new_key

NOW = 1_800_000_000.0


def accepts(record: KeyRecord, text: str, now: float) -> bool:
    return matches(digest_of(text.encode()), record.valid_digests(now))


def test_a_key_has_256_random_bits_and_only_its_hash_is_stored() -> None:
    record, text = new_key(["jobs:write"], ["reports-*"], "env-1", 60.0, NOW)
    assert re.fullmatch(r"wm_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", text)
    assert id_of(text.encode()) == record.id
    stored = record.to_json()
    assert text not in stored
    assert text[12:] not in stored
    assert KeyRecord.from_json(record.id, stored) == record
    assert accepts(record, text, NOW)
    assert not accepts(record, text[:-1], NOW)


def test_a_key_ends_at_its_expiry() -> None:
    record, text = new_key(["admin"], [], "env-1", 60.0, NOW)
    assert accepts(record, text, NOW + 59.9)
    assert not accepts(record, text, NOW + 60)
    rolled, newer = record.roll(3600.0, NOW)
    assert not accepts(rolled, newer, NOW + 60)


def test_a_replaced_secret_is_valid_for_the_overlap() -> None:
    record, first = new_key(["admin"], [], "env-1", None, NOW)
    record, second = record.roll(100.0, NOW)
    assert first != second
    assert accepts(record, first, NOW + 99)
    assert accepts(record, second, NOW + 1e9)
    assert not accepts(record, first, NOW + 100)
    # Rolled again, as after an answer that was lost: who has only the first key goes on until its time is over.
    record, third = record.roll(1000.0, NOW + 50)
    assert [accepts(record, text, NOW + 99) for text in (first, second, third)] == [True, True, True]
    assert [accepts(record, text, NOW + 101) for text in (first, second, third)] == [False, True, True]


def test_an_overlap_of_nothing_ends_the_earlier_secrets_at_once() -> None:
    record, first = new_key(["admin"], [], "env-1", None, NOW)
    record, second = record.roll(100.0, NOW)
    record, third = record.roll(0.0, NOW)
    assert [accepts(record, text, NOW) for text in (first, second, third)] == [False, False, True]


def test_a_key_that_is_rolled_often_stays_small() -> None:
    record, _ = new_key(["admin"], [], "env-1", None, NOW)
    for _ in range(20):
        record, text = record.roll(100.0, NOW)
    assert len(record.secrets) == MAX_SECRETS
    assert accepts(record, text, NOW)


@pytest.mark.parametrize("text", [b"", b"wm_", b"wm_a", b"wm__b", b"wm_a_", b"wn_a_b", b"wm_\xff_b", b"Bearer x"])
def test_what_is_no_key_of_ours_names_no_id(text: bytes) -> None:
    assert id_of(text) is None


GOOD = json.loads(new_key(["admin"], [], "env-1", None, NOW)[0].to_json())


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": "admin"},
        {"scopes": [1]},
        {"queues": None},
        {"secrets": [{"sha256": "a"}]},
        {"secrets": 5},
        {"created_at": "now"},
        {"expires_at": []},
        {"expires_at": 10**400},
    ],
)
def test_a_record_that_something_else_has_written_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="'abc' cannot be read"):
        KeyRecord.from_json("abc", json.dumps(GOOD | change))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "[" * 100_000])
def test_a_record_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'abc' cannot be read"):
        KeyRecord.from_json("abc", text)


@pytest.mark.parametrize(
    ("queues", "seen", "unseen"),
    [
        ([], ["default", "x"], []),
        (["reports"], ["reports"], ["reports-a", "report", "", "xreports"]),
        (["reports-*"], ["reports-", "reports-a-b", "reports-a\nb"], ["reports", "xreports-a"]),
        (["a", "*-b"], ["a", "x-b"], ["b", "a-c"]),
        (["a.b"], ["a.b"], ["axb"]),
        (["*"], ["", "anything"], []),
    ],
)
def test_a_key_sees_the_queues_of_its_patterns(queues: list[str], seen: list[str], unseen: list[str]) -> None:
    caller = Caller.of("id", ["jobs:read"], queues)
    assert [queue for queue in (*seen, *unseen) if caller.sees(queue)] == seen
