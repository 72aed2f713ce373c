"""WORKMANAGER_HTTP_ALLOW names hosts, domains and networks, with or without a port."""

from ipaddress import ip_address

import pytest

from outgoing.allow_list import AllowList


@pytest.mark.parametrize(
    ("text", "host", "port", "address", "permitted"),
    [
        ("localhost", "localhost", 8080, "127.0.0.1", True),
        ("localhost", "LOCALHOST.", 8080, "127.0.0.1", True),
        ("localhost.", "localhost", 8080, "::1", True),
        ("localhost", "127.0.0.1", 8080, "127.0.0.1", False),
        ("localhost:8080", "localhost", 8080, "127.0.0.1", True),
        ("localhost:8080", "localhost", 80, "127.0.0.1", False),
        ("Printer.lan", "printer.lan", 631, "192.168.1.9", True),
        ("printer.lan", "evil.printer.lan", 631, "192.168.1.9", False),
        ("printer.lan", "evilprinter.lan", 631, "192.168.1.9", False),
        ("*.example.internal", "a.example.internal", 80, "10.0.0.1", True),
        ("*.example.internal", "a.b.example.internal", 80, "10.0.0.1", True),
        ("*.example.internal", "example.internal", 80, "10.0.0.1", False),
        ("*.example.internal", "evilexample.internal", 80, "10.0.0.1", False),
        ("*.example.internal:443", "a.example.internal", 80, "10.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", 1, "127.0.0.1", True),
        ("127.0.0.1", "localhost", 1, "127.0.0.1", True),
        ("127.0.0.1", "2130706433", 1, "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", 1, "127.0.0.2", False),
        ("127.0.0.1:80", "127.0.0.1", 81, "127.0.0.1", False),
        ("10.1.0.0/16", "10.1.255.1", 80, "10.1.255.1", True),
        ("10.1.0.0/16", "10.2.0.1", 80, "10.2.0.1", False),
        ("10.1.0.0/16:443", "10.1.0.1", 80, "10.1.0.1", False),
        ("10.1.0.0/16:443", "x.test", 443, "10.1.0.1", True),
        ("127.0.0.0/8", "x", 80, "::ffff:127.0.0.1", True),
        ("10.0.0.0/8", "x", 80, "64:ff9b::10.0.0.1", True),
        ("0.0.0.0/0", "x", 80, "::1", False),
        ("0.0.0.0/0", "x", 80, "2002:0a00:1::1", False),
        ("::1", "::1", 80, "::1", True),
        ("[::1]", "::1", 80, "::1", True),
        ("[::1]:80", "::1", 80, "::1", True),
        ("[::1]:80", "::1", 81, "::1", False),
        ("fd12::/16", "x", 80, "fd12:1::1", True),
        ("[fd12::/16]:443", "x", 443, "fd12:1::1", True),
        ("", "localhost", 80, "127.0.0.1", False),
        (" , ", "localhost", 80, "127.0.0.1", False),
        ("a.test, 10.0.0.0/8 ,b_c.test", "b_c.test", 80, "127.0.0.1", True),
    ],
)
def test_an_entry_permits_what_it_names_and_nothing_else(
    text: str, host: str, port: int, address: str, permitted: bool
) -> None:
    assert AllowList.parse(text).permits(host, port, ip_address(address)) is permitted


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("http://localhost:8080", "is a URL; give its host"),
        ("localhost:8080/path", "not a port"),
        ("localhost/path", "not a host name"),
        ("localhost:0", "'0' is not a port"),
        ("localhost:99999", "'99999' is not a port"),
        ("localhost:", "'' is not a port"),
        ("localhost:²", "'²' is not a port"),
        ("10.0.0.1/8", "the network is 10.0.0.0/8"),
        ("10.0.0.0/33", "not a host name"),
        ("127.1", "not a host name"),
        ("2130706433", "not a host name"),
        ("0x7f.0.0.1", "not a host name"),
        ("x.0x7f", "not a host name"),
        ("*", "not a host name"),
        ("*.*.test", "not a host name"),
        ("a.*.test", "not a host name"),
        ("bücher.test", "not a host name"),
        ("a b", "not a host name"),
        ("user@host", "not a host name"),
        ("-a.test", "not a host name"),
        ("[::1", "not a host name"),
        ("::1:80:x", "not a port"),
        ("x" * 64, "not a host name"),
    ],
)
def test_an_entry_that_is_none_is_refused_by_name(entry: str, message: str) -> None:
    with pytest.raises(ValueError, match="is") as caught:
        AllowList.parse(f"good.test, {entry}")
    assert message in str(caught.value)
    assert entry.lower() in str(caught.value)
