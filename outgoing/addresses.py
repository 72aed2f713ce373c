"""Tell public IP addresses from all others, whatever form they are written in.

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and the RFCs named below. Python's
`is_private` and `is_global` are not used: they differ between versions, and call an IPv6 address global that stands for
a private IPv4 address.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_KINDS: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a reserved address"),  # 6to4 relays, RFC 7526
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),  # site-local, RFC 3879
        ("ff00::/8", "a multicast address"),
        ("2001::/23", "a reserved address"),  # Teredo, benchmarks, ORCHID and other protocols' own
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a reserved address"),  # 6to4
        ("3fff::/20", "a documentation address"),
    )
)
_IPV6_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out. Whatever lies outside and is not in `_KINDS` is reserved."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOW_32_BITS = (
    _MAPPED,  # RFC 4291: the kernel connects to the IPv4 address
    _NAT64,  # RFC 6052: so does the network, if it has IPv6 only
    IPv6Network("::/96"),  # IPv4-compatible, RFC 4291
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765
)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""The upper half of an interface identifier whose lower half is an IPv4 address (RFC 5214)."""

_METADATA: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # EC2, ECS, EKS, and most other clouds
        "fd00:ec2::/32",  # EC2, ECS, EKS
        "fd20:ce::/32",  # Google
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle
    )
)


def not_public(address: Address) -> str:
    """Return what kind of address it is, such as "a private address"; '' if it is public.

    An IPv6 address that stands for an IPv4 address is what that one is. Tunnels are not public: they are out of use.
    """
    for embedded in _embedded(address):
        if kind := not_public(embedded):
            return kind
        if address in _MAPPED or address in _NAT64:
            return ""
    for network, kind in _KINDS:
        if address in network:
            return kind
    return "" if isinstance(address, IPv4Address) or address in _IPV6_UNICAST else "a reserved address"


def is_metadata(address: Address) -> bool:
    """Return whether a cloud's metadata service, which hands out credentials, may answer at the address."""
    return any(each in network for each in (address, *_embedded(address)) for network in _METADATA)


def as_connected(address: Address) -> Address:
    """Return the address that a packet reaches: of an IPv4-mapped or NAT64 address, the IPv4 address."""
    return _embedded(address)[0] if address in _MAPPED or address in _NAT64 else address


def _embedded(address: Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address stands for or leads to."""
    if isinstance(address, IPv4Address):
        return []
    number = int(address)
    if any(address in network for network in _LOW_32_BITS) and number > 1:  # not :: and ::1
        return [IPv4Address(number & 0xFFFF_FFFF)]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if number >> 32 & 0xFFFF_FFFF in _ISATAP:
        return [IPv4Address(number & 0xFFFF_FFFF)]
    return []
