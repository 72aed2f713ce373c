"""When a server's append-only file counts as sound, and when a rewrite is asked for."""

from dataclasses import replace
from itertools import pairwise

from manager.append_only.file_state import AppendOnlyState
from manager.append_only.file_watch import (
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
    NEEDS_REWRITE,
    REWRITE_FAILED,
    WRITE_FAILS,
    FileWatch,
)

SOUND = AppendOnlyState(
    run_id="1",
    write_fails=False,
    refused_writes=0,
    snapshot_fails=False,
    rewrites=3,
    is_rewriting=False,
    rewrite_failed=False,
)
FAILING = replace(SOUND, write_fails=True, refused_writes=5)
RECOVERED = replace(SOUND, refused_writes=5)


def watch_after(*states: AppendOnlyState) -> FileWatch:
    """Return a watch that has looked once a second."""
    watch = FileWatch()
    for number, state in enumerate(states):
        watch.look(state, float(number))
    return watch


def test_a_file_that_was_always_written_is_sound() -> None:
    watch = FileWatch()
    assert not watch.look(SOUND, 0.0)
    assert not watch.look(replace(SOUND, rewrites=4, is_rewriting=True), 1.0)
    assert watch.problem is None


def test_a_server_without_a_file_has_no_problem() -> None:
    assert not FileWatch().look(None, 0.0)
    assert FileWatch().problem is None


def test_a_rewrite_is_asked_for_as_soon_as_the_errors_are_over() -> None:
    watch = watch_after(SOUND)
    assert not watch.look(FAILING, 1.0)
    assert watch.problem == WRITE_FAILS
    assert watch.look(RECOVERED, 2.0)
    assert watch.problem == NEEDS_REWRITE


def test_the_file_is_sound_once_a_rewrite_begun_after_the_errors_has_succeeded() -> None:
    watch = watch_after(SOUND, FAILING, RECOVERED)
    assert not watch.look(replace(RECOVERED, rewrites=4, is_rewriting=True), 3.0)
    assert watch.problem == NEEDS_REWRITE
    watch.look(replace(RECOVERED, rewrites=4), 4.0)
    assert watch.problem is None


def test_a_rewrite_that_began_while_writes_failed_does_not_count() -> None:
    watch = watch_after(SOUND, FAILING, replace(RECOVERED, rewrites=4, is_rewriting=True))
    watch.look(replace(RECOVERED, rewrites=4), 3.0)
    assert watch.problem == NEEDS_REWRITE
    watch.look(replace(RECOVERED, rewrites=5), 4.0)
    assert watch.problem is None


def test_an_error_between_two_looks_is_known_by_the_writes_that_were_refused() -> None:
    watch = watch_after(SOUND)
    assert watch.look(RECOVERED, 1.0)
    assert watch.problem == NEEDS_REWRITE


def test_a_manager_that_starts_later_asks_for_a_rewrite_once() -> None:
    watch = FileWatch()
    assert watch.look(RECOVERED, 0.0)
    watch.look(replace(RECOVERED, rewrites=4), 1.0)
    assert not watch.look(replace(RECOVERED, rewrites=4), 100.0)
    assert watch.problem is None


def test_errors_during_the_rewrite_need_another_one() -> None:
    watch = watch_after(SOUND, FAILING, RECOVERED, replace(FAILING, rewrites=4, is_rewriting=True))
    watch.look(replace(RECOVERED, rewrites=4), 4.0)
    assert watch.problem == NEEDS_REWRITE


def test_after_a_restart_the_file_is_sound() -> None:
    """The server has read it, and appends to it."""
    watch = watch_after(SOUND, FAILING, replace(SOUND, run_id="2"))
    assert watch.problem is None


def test_a_rewrite_that_fails_is_asked_for_again_after_longer_and_longer_pauses() -> None:
    watch = watch_after(SOUND, FAILING)
    failed = replace(RECOVERED, rewrite_failed=True)
    asked = [second for second in range(400) if watch.look(failed, 2.0 + second)]
    assert watch.problem == REWRITE_FAILED
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)


def test_a_failed_rewrite_does_not_mend_the_file_but_the_next_one_does() -> None:
    watch = watch_after(SOUND, FAILING, RECOVERED, replace(RECOVERED, rewrites=4, rewrite_failed=True))
    assert watch.problem == REWRITE_FAILED
    watch.look(replace(RECOVERED, rewrites=5), 4.0)
    assert watch.problem is None


def test_refused_writes_while_snapshots_fail_are_no_errors_of_the_file() -> None:
    watch = watch_after(SOUND)
    assert not watch.look(replace(RECOVERED, snapshot_fails=True), 1.0)
    assert watch.problem is None


def test_a_server_that_does_not_count_rewrites_is_not_watched() -> None:
    """Redis 6 appends to the file that follows a rewrite."""
    info = {"aof_enabled": "1", "aof_last_write_status": "err"}
    assert AppendOnlyState.parse(info) is None
    assert AppendOnlyState.parse({**info, "aof_enabled": "0", "aof_rewrites": "1"}) is None
    state = AppendOnlyState.parse({**info, "aof_rewrites": "2", "errorstat_MISCONF": "count=7", "run_id": "a"})
    assert state == AppendOnlyState("a", True, 7, False, 2, False, False)
