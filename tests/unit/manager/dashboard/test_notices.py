"""What a page says after an action."""

import pytest

from manager.dashboard.forms import notice_of


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 jobs are deleted."), (1, "1 job is deleted."), (1_200, "1,200 jobs are deleted.")]
)
def test_a_number_of_jobs_has_the_verb_that_fits(number: int, said: str) -> None:
    assert notice_of("deleted-jobs", number) == said
