"""Hosts as network namespaces on one wire, whose links can be cut, also one way.

Each host has two addresses: `10.77.0.N` on the wire over which the members of the system talk, and `10.78.0.N` on one
that is never cut, over which the clients "beside it" reach it.
"""

from __future__ import annotations

import random
import subprocess

_WIRE, _SIDE = "10.77.0", "10.78.0"
_NOWHERE = "02:00:00:00:00:fe"


def create_bridges() -> None:
    """Two bridges, in the namespaces that the program runs in, which must be its own."""
    _ip("link set lo up")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    for wire, net in (("wire", _WIRE), ("side", _SIDE)):
        _ip(f"link add {wire} type bridge")
        _ip(f"link set {wire} up")
        _ip(f"addr add {net}.254/24 dev {wire}")


class Host:
    """One host; `number` is the last part of its addresses."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"{_WIRE}.{number}"
        self.client_address = f"{_SIDE}.{number}"
        self._port = f"w{number}"  # the wire's end of its link
        _ip(f"netns add {name}")
        self._inside("link set lo up")
        for wire, net, port, device in (("wire", _WIRE, self._port, "eth0"), ("side", _SIDE, f"s{number}", "eth1")):
            _ip(f"link add {port} type veth peer name {device} netns {name}")
            _ip(f"link set {port} master {wire} up")
            self._inside(f"addr add {net}.{number}/24 dev {device}")
            self._inside(f"link set {device} up")

    def command(self, *program: str) -> list[str]:
        """The command line that runs a program on this host."""
        return ["ip", "netns", "exec", self.name, *program]

    def disconnect(self) -> None:
        """Nothing comes or goes any more, and nobody is told."""
        _ip(f"link set {self._port} nomaster")

    def block_sending(self, others: list[Host]) -> None:
        """What it sends to the others is lost; what they send arrives."""
        for other in others:
            if other is not self:
                self._inside(f"neigh replace {other.address} lladdr {_NOWHERE} nud permanent dev eth0")

    def reconnect(self, others: list[Host]) -> None:
        """The link is as it was."""
        _ip(f"link set {self._port} master wire")
        for other in others:
            if other is not self:
                subprocess.run(
                    ["ip", "-n", self.name, "neigh", "del", other.address, "dev", "eth0"],
                    check=False,  # there may be none
                    capture_output=True,
                )

    def reset_connections(self, share: float, rng: random.Random) -> int:
        """Resets about that share of the connections that programs here have, by RST; how many it were.

        The end that is here hears of it as well (ECONNABORTED).
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

    def _inside(self, command: str) -> None:
        _ip(f"-n {self.name} {command}")


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)
