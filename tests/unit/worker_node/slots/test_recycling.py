"""When an executor is replaced."""

from worker_node.slots.recycling import ExecutorUsage, RecyclingLimits


def test_an_executor_exceeds_its_limits_by_jobs_or_by_memory_growth() -> None:
    usage = ExecutorUsage(RecyclingLimits(max_jobs=2, max_growth_bytes=100), resident_bytes=1_000)
    assert not usage.exceeds_limits(resident_bytes=1_100)
    assert usage.exceeds_limits(resident_bytes=1_101)
    usage.jobs = 2
    assert usage.exceeds_limits(resident_bytes=1_000)
