"""Slot ranges from the setting WORKMANAGER_CLUSTER_HOSTS."""

import pytest

from jobqueue.servers.cluster_map import HASH_SLOTS
from manager.cluster.slot_ranges import Address, SlotRange, parse_hosts


def test_two_managers_and_a_witness() -> None:
    one, other, witness = parse_hosts(("10.0.0.1:6379+6380", "10.0.0.2:6379+6380+6381", "10.0.0.3:6379"))
    assert one == SlotRange(0, 8191, Address("10.0.0.1", 6379), Address("10.0.0.2", 6380))
    assert other == SlotRange(8192, 16382, Address("10.0.0.2", 6379), Address("10.0.0.1", 6380))
    assert witness == SlotRange(16383, 16383, Address("10.0.0.3", 6379), Address("10.0.0.2", 6381))


def test_three_equal_hosts() -> None:
    slot_ranges = parse_hosts(("10.0.0.1:1+2", "10.0.0.2:1+2", "fd00::3:1+2"))
    assert [(each.first_slot, each.last_slot) for each in slot_ranges] == [(0, 5460), (5461, 10921), (10922, 16383)]
    assert [each.preferred_master.host for each in slot_ranges] == ["10.0.0.1", "10.0.0.2", "fd00::3"]
    assert [each.replica.host for each in slot_ranges] == ["10.0.0.2", "fd00::3", "10.0.0.1"]


@pytest.mark.parametrize(
    "hosts", [("10.0.0.1:1+2", "10.0.0.2:1+2+3", "10.0.0.3:1"), ("10.0.0.1:1+2", "10.0.0.2:1+2", "10.0.0.3:1+2")]
)
def test_every_slot_has_a_master_and_its_replica_on_different_hosts(hosts: tuple[str, ...]) -> None:
    slot_ranges = parse_hosts(hosts)
    assert all(each.preferred_master.host != each.replica.host for each in slot_ranges)
    assert sum(each.last_slot - each.first_slot + 1 for each in slot_ranges) == HASH_SLOTS


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ((), "three hosts with 2, 3, 1 or 2, 2, 2 ports, not "),
        (("10.0.0.1:1+2", "10.0.0.2:1+2", "10.0.0.3:1"), "not 2, 2, 1"),
        (("10.0.0.1:1+2", "10.0.0.2:1+2", "10.0.0.1:1+3"), "twice"),
        (("host:1+2", "10.0.0.2:1+2", "10.0.0.3:1+2"), "'host:1[+]2' is not IP:PORT[+]PORT"),
        (("10.0.0.1", "10.0.0.2:1+2", "10.0.0.3:1+2"), "'10.0.0.1' is not"),
        (("10.0.0.1:1+x", "10.0.0.2:1+2", "10.0.0.3:1+2"), "is not IP"),
        (("10.0.0.1:1+70000", "10.0.0.2:1+2", "10.0.0.3:1+2"), "ports are numbers from 1 to 65535"),
    ],
)
def test_invalid_hosts_are_rejected(hosts: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_hosts(hosts)
