"""The URL of a callback: what is refused before anything is written, and which host its limits belong to."""

import pytest

from manager.callbacks.target import check_target
from outgoing.guard import Guard

PUBLIC_ONLY = Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", "")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example.com/a?b=c#d", "hooks.example.com:443"),
        ("HTTP://Hooks.Example.com", "hooks.example.com:80"),
        ("https://hooks.example.com.:8443/", "hooks.example.com.:8443"),
        ("https://93.184.216.34/", "93.184.216.34:443"),
        ("https://[2606:2800:220:1::1]/", "[2606:2800:220:1::1]:443"),
        ("listen:laptop-7", "listen/laptop-7"),
    ],
)
def test_callbacks_to_one_host_and_port_share_its_limits(url: str, host: str) -> None:
    target = check_target(url, PUBLIC_ONLY)
    assert (target.url, target.host) == (url, host)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "must begin with http"),
        ("example.com/hook", "must begin with http"),
        ("https:///path", "must begin with http"),
        ("listen:", "must begin with http"),
        ("listen:a/b", "must begin with http"),
        ("https://user:secret@example.com/", "must not have a user name"),
        ("https://good.example.com\\@10.0.0.1/", "must not have a user name"),
        ("https://example.com/a b", "must be ASCII"),
        ("https://example.com/\n", "must be ASCII"),
        ("https://bücher.example/", "must be ASCII"),
        ("https://exa$mple.com/", "has no valid host"),
        ("https://[fe80::1%25eth0]/", "has no valid host"),
        ("https://[::1/", "is not a valid URL"),
        ("https://example.com:99999/", "is not a valid URL"),
        ("https://example.com:0/", "has no valid port"),
        ("https://example.com/" + "x" * 2048, "must not exceed 2048 characters"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_target(url, PUBLIC_ONLY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "localhost.", "a.localhost", "10.1.2.3", "192.168.0.1:8080", "169.254.169.254"),
        *("2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]"),
        *("[fd00:ec2::254]", "[fe80::1]", "100.100.100.200"),
    ],
)
def test_an_address_that_is_not_public_is_refused_in_any_form(host: str) -> None:
    with pytest.raises(ValueError, match="address"):
        check_target(f"https://{host}/", PUBLIC_ONLY)


def test_the_operator_can_permit_what_is_not_public_but_no_metadata_service() -> None:
    guard = Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", "10.0.0.0/8, localhost:8080, 169.254.0.0/16")
    assert check_target("http://10.1.2.3/", guard).host == "10.1.2.3:80"
    assert check_target("http://localhost:8080/", guard).host == "localhost:8080"
    with pytest.raises(ValueError, match="add localhost:8081 to WORKMANAGER_CALLBACK_ALLOW"):
        check_target("http://localhost:8081/", guard)
    with pytest.raises(ValueError, match="metadata address, which is never called"):
        check_target("http://169.254.169.254/", guard)
