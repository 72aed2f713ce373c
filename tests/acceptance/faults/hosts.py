"""Hosts as network namespaces on two bridges. A host's link to the first one can be cut, also in one direction.

Each host has two addresses: `10.77.0.N` on the system's own network, and `10.78.0.N` on a network that is never cut,
for clients on the host's side of a cut.
"""

import random
import subprocess

_SYSTEM_NETWORK, _CLIENT_NETWORK = "10.77.0", "10.78.0"
RECEIVER_ADDRESS = f"{_CLIENT_NETWORK}.254"
"""The bridge's own, for receivers of callbacks."""
_UNUSED_MAC = "02:00:00:00:00:fe"


def create_bridges() -> None:
    """Create the two bridges. The program must run in its own namespaces."""
    _ip("link set lo up")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    for bridge, net in (("system", _SYSTEM_NETWORK), ("clients", _CLIENT_NETWORK)):
        _ip(f"link add {bridge} type bridge")
        _ip(f"link set {bridge} up")
        _ip(f"addr add {net}.254/24 dev {bridge}")


class Host:
    """One host. `number` is the last part of its addresses."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"{_SYSTEM_NETWORK}.{number}"
        self.client_address = f"{_CLIENT_NETWORK}.{number}"
        self._port = f"w{number}"  # the bridge's end of its link
        _ip(f"netns add {name}")
        self._ip_inside("link set lo up")
        for bridge, net, port, device in (
            ("system", _SYSTEM_NETWORK, self._port, "eth0"),
            ("clients", _CLIENT_NETWORK, f"s{number}", "eth1"),
        ):
            _ip(f"link add {port} type veth peer name {device} netns {name}")
            _ip(f"link set {port} master {bridge} up")
            self._ip_inside(f"addr add {net}.{number}/24 dev {device}")
            self._ip_inside(f"link set {device} up")

    def command(self, *program: str) -> list[str]:
        """Return the command line that runs a program on this host."""
        return ["ip", "netns", "exec", self.name, *program]

    def disconnect(self) -> None:
        """Drop all packets to and from the host without any error."""
        _ip(f"link set {self._port} nomaster")

    def block_sending(self, others: list["Host"]) -> None:
        """Drop the packets that this host sends to the others; theirs still arrive."""
        for other in others:
            if other is not self:
                self._ip_inside(f"neigh replace {other.address} lladdr {_UNUSED_MAC} nud permanent dev eth0")

    def reconnect(self, others: list["Host"]) -> None:
        """Restore the link."""
        _ip(f"link set {self._port} master system")
        for other in others:
            if other is not self:
                subprocess.run(
                    ["ip", "-n", self.name, "neigh", "del", other.address, "dev", "eth0"],
                    check=False,  # there may be no entry
                    capture_output=True,
                )

    def reset_connections(self, share: float, rng: random.Random) -> int:
        """Reset this share of the host's TCP connections with RST; return their number.

        The programs on this host also get an error (ECONNABORTED).
        """
        listed = self._sockets("state", "established").splitlines()
        chosen = [line.split()[2:4] for line in listed if rng.random() < share]
        if not chosen:
            return 0
        ends = " or ".join(f"( src = {here} and dst = {there} )" for here, there in chosen)
        return len(self._sockets("--kill", ends).splitlines())

    def _sockets(self, *arguments: str) -> str:
        command = self.command("ss", "--no-header", "--tcp", "--numeric", *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def _ip_inside(self, command: str) -> None:
        _ip(f"-n {self.name} {command}")


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)
