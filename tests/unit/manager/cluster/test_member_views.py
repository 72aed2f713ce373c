"""Parsing of a member's answers."""

import math

import pytest

from manager.cluster.member_views import parse_view
from manager.cluster.slot_ranges import Address

NODES = """\
aaa 10.0.0.1:6379@16379,,tls-port=0,shard-id=5 myself,master - 0 0 7 connected 0-100 200 [300->-bbb]
bbb 10.0.0.2:6379@16379 master,fail - 1700000000000 1700000000001 3 disconnected 101-199
ccc :0@0 slave,noaddr bbb 1 2 3 disconnected
ddd 10.0.0.4:6380@16380 handshake - 0 0 0 connected
"""


def test_lines_of_cluster_nodes() -> None:
    view = parse_view(NODES, "cluster_state:ok\r\ncluster_size:3\r\n", "role:master\r\nconnected_slaves:0\r\n", 5)
    assert (view.id, view.sees_majority, view.keys, view.in_sync, view.synced_replicas) == ("aaa", True, 5, False, 0)
    assert view.own_entry.slots == ((0, 100), (200, 200))
    assert view.own_entry.owns(50)
    assert not view.own_entry.owns(150)
    assert (view.own_entry.epoch, view.own_entry.bus_port) == (7, 16379)
    assert view.entries["bbb"].failed
    assert view.entries["bbb"].address == Address("10.0.0.2", 6379)
    without_address = view.entries["ccc"]
    assert (without_address.address, without_address.failed, without_address.master_id) == (None, True, "bbb")
    assert not view.entries["ddd"].handshake_done


SAVED = "aof_rewrite_in_progress:0\naof_rewrite_scheduled:0\naof_last_bgrewrite_status:ok\n"
LINKED = "role:slave\nmaster_link_status:up\nmaster_sync_in_progress:0\n"


@pytest.mark.parametrize(
    ("info", "in_sync", "synced_replicas"),
    [
        (LINKED + SAVED, True, 0),
        (LINKED + SAVED.replace("progress:0", "progress:1"), False, 0),
        (LINKED + SAVED.replace("scheduled:0", "scheduled:1"), False, 0),
        (LINKED + SAVED.replace("ok", "err"), False, 0),
        ("role:slave\nmaster_link_status:up\nmaster_sync_in_progress:1\n" + SAVED, False, 0),
        ("role:slave\nmaster_link_status:down\nmaster_sync_in_progress:0\n" + SAVED, False, 0),
        (
            "role:master\nconnected_slaves:2\nslave0:ip=10.0.0.2,port=1,state=online,offset=1,lag=0\n"
            "slave1:ip=10.0.0.3,port=1,state=wait_bgsave,offset=0,lag=0\n",
            False,
            1,
        ),
    ],
)
def test_replication_progress(info: str, in_sync: bool, synced_replicas: int) -> None:
    view = parse_view(NODES, "cluster_state:fail", info, 0)
    assert (view.sees_majority, view.in_sync, view.synced_replicas) == (False, in_sync, synced_replicas)


UNLINKED = "role:slave\nmaster_link_status:down\nmaster_sync_in_progress:0\n"


@pytest.mark.parametrize(
    ("info", "seconds"),
    [
        (LINKED, 0),
        (UNLINKED + "master_link_down_since_seconds:32\n", 32),
        (UNLINKED + "master_link_down_since_seconds:0\n", 0),
        (UNLINKED + "master_link_down_since_seconds:-1\n", math.inf),
        ("role:master\nconnected_slaves:0\n", 0),
    ],
    ids=["linked", "unlinked", "unlinked right now", "not linked since its start", "a master"],
)
def test_unlinked_time_of_a_replica(info: str, seconds: float) -> None:
    assert parse_view(NODES, "cluster_state:ok", info, 0).unlinked_seconds == seconds


def test_an_answer_without_the_member_itself_is_rejected() -> None:
    with pytest.raises(ValueError, match="marks no line as `myself`"):
        parse_view(NODES.splitlines()[1], "", "", 0)
