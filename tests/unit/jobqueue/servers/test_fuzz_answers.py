"""Random answers of servers never crash what reads them: they are a map of the cluster, or a failure of that server."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.cluster_map import ClusterMap, parse_map
from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.quorum import MasterView
from jobqueue.servers.unreachable import ServerUnreachable
from jobqueue.stored_values import name_of, sent_name, shown_name
from tests.fuzzing import fuzz_settings

fuzz = fuzz_settings(200)

SERVERS = st.lists(st.one_of(st.binary(max_size=9), st.integers(), st.none()), max_size=4)
RANGES = st.lists(st.one_of(st.integers(), st.none(), SERVERS), max_size=5)
ANSWERS = st.recursive(st.one_of(st.none(), st.integers(), st.binary(max_size=20)), st.lists, max_leaves=10)
INFO = st.lists(
    st.sampled_from([b"cluster_state:ok", b"cluster_current_epoch:7", b"cluster_current_epoch:x", b"\xff:\xff", b":"])
).map(b"\r\n".join)


@given(st.one_of(INFO, ANSWERS), st.one_of(st.lists(RANGES, max_size=4), ANSWERS))
@fuzz
def test_the_answers_to_map_commands_are_a_map_or_a_failure(info: object, slots: object) -> None:
    assert isinstance(parse_map(("127.0.0.1", 6379), [info, slots]), (ClusterMap, ShardUnavailable))


class Server(ServerPool):
    """A server that answers the same to everything."""

    def __init__(self, answer: object) -> None:
        super().__init__("127.0.0.1", 6379, lambda **_: pytest.fail("no connection is needed"))
        self._answer = answer

    async def execute(self, *commands: object, timeout_seconds: float = 0) -> list[object]:
        return [self._answer]


FIELDS = st.sampled_from(
    [b"role:master", b"redis_mode:cluster", b"sync_full:1", b"sync_full:x", b"slave0:state=online", b"\xff", b":"]
)


@given(st.one_of(ANSWERS, st.lists(FIELDS).map(b"\r\n".join)))
@fuzz
def test_the_answer_to_info_is_read_or_a_failure(answer: object) -> None:
    with suppress(ServerUnreachable):
        asyncio.run(Server(answer).info())


NODES = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "myself,master", "master", "-", "0", "1e9", "connected", "0-9"]), max_size=10
    ).map(" ".join)
).map(lambda lines: "\n".join(lines).encode())


@given(st.one_of(NODES, ANSWERS), st.one_of(INFO, ANSWERS), st.one_of(st.just([b"1", b"2"]), ANSWERS))
@fuzz
def test_the_answers_of_a_view_are_one_or_none(nodes: object, info: object, server_time: object) -> None:
    with suppress(ValueError):
        assert MasterView.parse([nodes, info, server_time]).master_count >= 0


@given(st.binary(max_size=40))
@fuzz
def test_any_name_is_sent_as_it_was_read_and_can_be_shown(raw: bytes) -> None:
    assert sent_name(name_of(raw)) == raw
    shown_name(name_of(raw)).encode()  # can be encoded, as a log and JSON need it
