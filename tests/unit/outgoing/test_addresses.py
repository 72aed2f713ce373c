"""Public addresses are told from all others, in every form."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgoing.addresses import is_metadata, not_public

FORMS = {
    "mapped": "::ffff:{}",
    "compatible": "::{}",
    "translated": "::ffff:0:{}",
    "NAT64": "64:ff9b::{}",
    "ISATAP": "2600:1f18::5efe:{}",
    "ISATAP of a public address": "2600:1f18::200:5efe:{}",
}
"""Of IPv6 addresses that end in an IPv4 address."""


def _six_to_four(inner: IPv4Address) -> IPv6Address:
    return IPv6Address(0x2002 << 112 | int(inner) << 80 | 1)


def _teredo(inner: IPv4Address) -> IPv6Address:
    return IPv6Address(0x2001_0000 << 96 | 0x0808_0808 << 64 | 0xFFFF_FFFF ^ int(inner))


def _forms(inner: IPv4Address) -> list[IPv6Address]:
    return [*(IPv6Address(form.format(inner)) for form in FORMS.values()), _six_to_four(inner), _teredo(inner)]


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.216.34", "52.95.110.1", "9.255.255.255", "11.0.0.0", "172.15.255.255"),
        *("172.32.0.0", "192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.0", "223.255.255.255"),
        *("2606:4700:4700::1111", "2600:1f18::1", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2001:200::1"),
        *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
    ],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert not_public(ip_address(address)) == ""
    assert not is_metadata(ip_address(address))


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("169.254.0.1", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "reserved"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarking"),
        ("198.19.255.255", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
        ("100::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("2001::1", "unspecified"),  # Teredo, by way of 0.0.0.0
        ("2001:2::1", "reserved"),
        ("2001:10::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("2002:0808:0808::1", "reserved"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("5f00::1", "reserved"),
        ("::8.8.8.8", "reserved"),
        ("::ffff:0:8.8.8.8", "reserved"),
    ],
)
def test_all_other_addresses_are_named_by_their_kind(address: str, kind: str) -> None:
    assert kind in not_public(ip_address(address))


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "192.168.0.1"])
def test_an_ipv6_address_that_leads_to_a_private_ipv4_address_is_not_public(inner: str) -> None:
    assert [str(form) for form in _forms(IPv4Address(inner)) if not not_public(form)] == []


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
    ],
)
def test_metadata_services_are_known_in_every_form(address: str) -> None:
    known = ip_address(address)
    forms = [known, *(_forms(known) if isinstance(known, IPv4Address) else [])]
    assert [str(form) for form in forms if not is_metadata(form)] == []


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_that_python_calls_private(address: IPv4Address) -> None:
    assert address.is_global or not_public(address)
    assert all(not_public(form) for form in _forms(address)) or not not_public(address)


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_public_that_python_calls_private(address: IPv6Address) -> None:
    assert address.is_global or not_public(address) or (address.ipv4_mapped and address.ipv4_mapped.is_global)
