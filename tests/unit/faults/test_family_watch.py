"""Each way in which a family's job, or what it tells, can be wrong is found."""

from typing import Any

import pytest

from tests.acceptance.faults.family_watch import family, find_wrong

_PARENT, _HEIR, _MOURNER, _LAST = family(4)  # its parent fails


def test_a_family_that_ends_as_it_must_and_tells_so_has_nothing_wrong() -> None:
    assert [member.end for member in family(4)] == ["failed", "canceled", "finished", "finished"]
    assert {member.end for member in family(5)} == {"finished"}
    for member in family(4):
        # The second time because an answer was lost.
        assert find_wrong(member, {"status": member.end}, [("event1", member.end), ("event1", member.end)]) == []


@pytest.mark.parametrize(
    ("job", "told", "wrong"),
    [
        ({}, [("event1", "canceled")], "is not there, not canceled"),
        ({"status": "deferred"}, [("event1", "canceled")], "is deferred, not canceled"),
        ({"status": "canceled"}, [], "told of [], not once of canceled"),
        ({"status": "canceled"}, [("event1", "canceled"), ("event2", "canceled")], "not once of canceled"),
        ({"status": "canceled"}, [("event1", "finished")], "not once of canceled"),
        ({"status": "canceled"}, [("event1", "finished"), ("event2", "canceled")], "not once of canceled"),
    ],
)
def test_what_is_wrong_is_told(job: dict[str, Any], told: list[tuple[str, str]], wrong: str) -> None:
    (complaint,) = find_wrong(_HEIR, job, told)
    assert complaint.startswith(_HEIR.id)
    assert complaint.endswith(wrong)
