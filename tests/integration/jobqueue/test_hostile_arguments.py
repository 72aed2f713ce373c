"""Whoever has a worker's Redis password can call each function with any arguments: none runs without an end."""

import contextlib

import pytest
import redis

from jobqueue.sharding.scripts import script
from workmanager.local.valkey import ValkeyServer

HUGE = "1e15"
CALLS = (
    ("view", ("0", "0", "0", "0", "0", HUGE)),
    ("enqueue", ("0", HUGE, "", "q", "R", "", "", "", "f", "-3.5")),
    ("fire_schedules", ("0", "10", "100", "[]", "0", HUGE, "", "q", "R", "", "", "", "f", "-3.5")),
    ("fire_schedules", ("0", "10", "100", "[]", "0", "1", "", "q", "R", "", "", "", "f", HUGE)),
    ("save_notes", ("1", "1", "9", "id", "token", "", "1", "-1.6666666666666667")),
    ("settle_children", ("", "", "0", "0", "parent", "", "-3")),
    ("settle_parents", ("", "", "0", "child", "1", "-1.5")),
)
"""Numbers of repetitions that are huge, or by which a loop never comes further."""


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_function_ends_whatever_it_is_told_to_repeat(
    private_server: ValkeyServer, name: str, arguments: tuple[str, ...]
) -> None:
    with redis.Redis(port=private_server.port, socket_timeout=3) as client:
        with contextlib.suppress(redis.ResponseError):
            client.eval(script(name).text, 1, "rq", *arguments)
        assert client.ping()  # otherwise the server is busy


def test_the_end_of_a_job_at_an_impossible_time_is_restored_at_once(private_server: ValkeyServer) -> None:
    iso_of = script("sweep").text.partition("-- iso_of(")[2].partition("-- stands_nowhere")[0]
    with redis.Redis(port=private_server.port, socket_timeout=3) as client:
        code = f"-- {iso_of}\nreturn iso_of(2^64)"
        assert client.eval(code, 0).startswith(b"9999-12-31T23:59:59.")
