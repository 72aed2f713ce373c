"""What is refused, and what the refusal tells."""

import pytest

from outgoing.guard import AddressRefused, Guard

SETTING = "WORKMANAGER_HTTP_ALLOW"


def _refusal(allowed: str, host: str, *addresses: str, port: int = 80) -> str:
    with pytest.raises(AddressRefused) as caught:
        Guard.from_setting(SETTING, allowed).check(host, port, addresses)
    return str(caught.value)


@pytest.mark.parametrize(
    ("allowed", "host", "addresses"),
    [
        ("", "example.com", ["93.184.216.34", "2606:4700::1"]),
        ("", "example.com", ["64:ff9b::8.8.8.8"]),
        ("localhost", "localhost", ["127.0.0.1", "::1"]),
        ("10.0.0.0/8", "example.com", ["93.184.216.34", "10.0.0.1"]),
        ("0.0.0.0/0, ::/0", "x", ["127.0.0.1", "10.0.0.1", "::1", "fd12::1", "93.184.216.34"]),
    ],
)
def test_public_addresses_and_named_ones_are_permitted(allowed: str, host: str, addresses: list[str]) -> None:
    Guard.from_setting(SETTING, allowed).check(host, 80, addresses)


@pytest.mark.parametrize("addresses", [["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"]])
def test_one_address_that_is_not_permitted_spoils_a_name(addresses: list[str]) -> None:
    assert "a loopback address" in _refusal("", "example.com", *addresses)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "168.63.129.16"])
@pytest.mark.parametrize("allowed", ["", "0.0.0.0/0, ::/0", "169.254.169.254, fd00:ec2::254", "meta.test"])
def test_metadata_addresses_are_refused_whatever_the_list_says(allowed: str, address: str) -> None:
    assert "never called" in _refusal(allowed, "meta.test", address)


def test_an_address_with_a_zone_is_refused_whatever_the_list_says() -> None:
    assert "never called" in _refusal("::/0", "x.test", "::1%lo")


@pytest.mark.parametrize(
    ("host", "address", "entry"),
    [
        ("localhost", "127.0.0.1", "localhost:8080"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1:8080"),
        ("::1", "::1", "[::1]:8080"),
    ],
)
def test_a_refusal_tells_the_entry_that_permits_the_call(host: str, address: str, entry: str) -> None:
    assert f"add {entry} to {SETTING}" in _refusal("", host, address, port=8080)
    Guard.from_setting(SETTING, entry).check(host, 8080, [address])


def test_a_refusal_does_not_tell_the_addresses_of_names_inside() -> None:
    refusal = _refusal("", "db.internal", "10.1.2.3")
    assert refusal.startswith("'db.internal' has a private address")
    assert "10.1.2.3" not in refusal


def test_a_wrong_list_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(ValueError, match=f"{SETTING}: 'http://x' is a URL"):
        Guard.from_setting(SETTING, "http://x")
