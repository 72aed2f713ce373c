"""What jobs log and print, as it is kept: the first and the last lines, for the run that has the lease."""

from jobqueue.lifecycle.notes import LOG_HEAD_LINES, LOG_LINES, JobNotes, read_log, save_notes
from jobqueue.sharding.shard import Shard
from manager.schemas.documents import log_line_document
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs


async def test_the_first_and_the_last_lines_are_kept_and_numbered(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    for start in range(0, 2500, 500):
        lines = [(1000 + number, "stdout", f"line {number}") for number in range(start + 1, start + 501)]
        await save_notes(shard, [JobNotes(job, lines=lines)])
    page = await read_log(shard, "a", "", 5000)
    numbers = [line.number for line in page.lines]
    first_of_tail = 2500 - (LOG_LINES - LOG_HEAD_LINES) + 1
    assert numbers == [*range(1, LOG_HEAD_LINES + 1), *range(first_of_tail, 2501)]
    assert page.dropped == 2500 - LOG_LINES
    assert {(line.at_ms - 1000, line.text, line.stream, line.attempt) for line in page.lines} == {
        (number, f"line {number}", "stdout", 1) for number in numbers
    }
    rest = await read_log(shard, "a", page.lines[LOG_HEAD_LINES - 1].id, 5000)
    assert rest.lines == page.lines[LOG_HEAD_LINES:]


async def test_nothing_is_written_for_a_run_whose_lease_is_another_ones(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await save_notes(shard, [JobNotes(job._replace(token="old"), lines=[(1, "stdout", "line")])])
    assert (await read_log(shard, "a", "", 10)).lines == ()


async def test_a_line_from_the_end_of_time_can_be_shown(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await save_notes(shard, [JobNotes(job, lines=[(2**53, "stdout", "line")])])
    (line,) = (await read_log(shard, "a", "", 10)).lines
    assert log_line_document(line)["at"].startswith("9999-12-31")
