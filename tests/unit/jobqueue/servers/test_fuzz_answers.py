"""Random answers of servers never crash what reads them: they are a map of the cluster, or a failure of that server."""

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.cluster_map import ClusterMap, parse_map
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


@given(st.binary(max_size=40))
@fuzz
def test_any_name_is_sent_as_it_was_read_and_can_be_shown(raw: bytes) -> None:
    assert sent_name(name_of(raw)) == raw
    shown_name(name_of(raw)).encode()  # can be encoded, as a log and JSON need it
