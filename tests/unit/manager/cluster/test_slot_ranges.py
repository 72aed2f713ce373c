"""The setting that names the hosts, read."""

import pytest

from manager.cluster.slot_ranges import Address, SlotRange, parse_hosts


def test_two_managers_and_a_witness() -> None:
    one, other, witness = parse_hosts(("10.0.0.1:6379+6380", "10.0.0.2:6379+6380+6381", "10.0.0.3:6379"))
    assert one == SlotRange(0, 8191, Address("10.0.0.1", 6379), Address("10.0.0.2", 6380))
    assert other == SlotRange(8192, 16382, Address("10.0.0.2", 6379), Address("10.0.0.1", 6380))
    assert witness == SlotRange(16383, 16383, Address("10.0.0.3", 6379), Address("10.0.0.2", 6381))


def test_three_equal_hosts() -> None:
    groups = parse_hosts(("10.0.0.1:1+2", "10.0.0.2:1+2", "fd00::3:1+2"))
    assert [(group.first_slot, group.last_slot) for group in groups] == [(0, 5460), (5461, 10921), (10922, 16383)]
    assert [group.preferred_master.host for group in groups] == ["10.0.0.1", "10.0.0.2", "fd00::3"]
    assert [group.replica.host for group in groups] == ["10.0.0.2", "fd00::3", "10.0.0.1"]


@pytest.mark.parametrize(
    "hosts", [("10.0.0.1:1+2", "10.0.0.2:1+2+3", "10.0.0.3:1"), ("10.0.0.1:1+2", "10.0.0.2:1+2", "10.0.0.3:1+2")]
)
def test_no_master_stands_on_its_replicas_host_and_every_slot_is_served(hosts: tuple[str, ...]) -> None:
    groups = parse_hosts(hosts)
    assert all(group.preferred_master.host != group.replica.host for group in groups)
    assert sum(group.last_slot - group.first_slot + 1 for group in groups) == 16384


@pytest.mark.parametrize(
    ("hosts", "told"),
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
def test_a_wrong_one_is_told(hosts: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_hosts(hosts)
