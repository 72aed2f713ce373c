"""The setting WORKMANAGER_JOB_LIMITS."""

import pytest

from worker_node.job_limits import NO_LIMITS, JobLimits, LimitTable

MIB = 1 << 20


def test_limits_of_a_function_replace_those_of_all() -> None:
    table = LimitTable.parse("memory=512MiB, cpu=60,files=256,processes=0; app.render: memory=4GiB,cpu=600")
    assert table.of("app.other") == JobLimits(512 * MIB, 60, 256, 0)
    assert table.of("app.render") == JobLimits(4096 * MIB, 600, 256, 0)
    assert LimitTable.parse("sleep: cpu=1").of("noop") == NO_LIMITS
    assert not LimitTable.parse("")


@pytest.mark.parametrize(
    "text",
    [
        *("memory", "memory=5", "memory=-1MiB", "memory=1TB", "cpu=0", "cpu=1.5", "cpu=1,cpu=2", "disk=1"),
        *("cpu=1; cpu=2", "f: cpu=1; f: cpu=2", ": cpu=1", "f: cpu=1; cpu=2", "files=٣", "processes=" + "9" * 5000),
    ],
)
def test_a_setting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"=|must"):
        LimitTable.parse(text)


def test_the_message_names_the_limit_and_the_setting() -> None:
    limits = JobLimits(512 * MIB, 60, 256, 16)
    assert limits.exceeded("memory") == "the job used more than its memory limit of 512 MiB (WORKMANAGER_JOB_LIMITS)"
    for name, number in (("cpu", "60"), ("files", "256"), ("processes", "16")):
        assert number in limits.exceeded(name)
