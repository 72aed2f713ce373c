"""`python http_caller.py`, in a network namespace of its own: call services by names, and print what came of it.

It gives the loopback device addresses of the Internet, of private networks and of a metadata service. A service listens
on port 80 of all of them. A name server on 127.0.0.53 answers as `NAMES` says.
"""

import ipaddress
import json
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from worker_node.functions import PermanentError, http

PUBLIC, PUBLIC6, NAT64 = "93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"
INSIDE = (
    *("10.0.0.5", "127.0.0.1", "169.254.169.254", "100.64.0.1", "169.254.7.7"),
    *("::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"),
)
NAMES: dict[str, list[list[str]]] = {
    "public": [[PUBLIC]],
    "public6": [[PUBLIC6]],
    "both": [[PUBLIC, PUBLIC6]],
    "nat64": [[NAT64]],
    "rebinding": [[PUBLIC], ["169.254.169.254"]],
    "mixed": [[PUBLIC, "10.0.0.5"]],
    "private": [["10.0.0.5"]],
    "loopback": [["127.0.0.1"]],
    "metadata": [["169.254.169.254"]],
    "metadata6": [["fd00:ec2::254"]],
    "nat64 of metadata": [["64:ff9b::a9fe:a9fe"]],
    "link-local": [["169.254.7.7"]],
    "carrier-grade nat": [["100.64.0.1"]],
}
"""The addresses of each name at the first, second, … question; then the last ones again."""
TYPE_A, TYPE_AAAA = 1, 28
requests_inside = 0
questions: Counter[tuple[str, int]] = Counter()
"""How often the addresses of a type were asked for, by name."""


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        global requests_inside
        address = self.connection.getsockname()[0].removeprefix("::ffff:")
        requests_inside += address in INSIDE
        body = f"hello from {address}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class NameServer(socketserver.BaseRequestHandler):
    """Answers one question (RFC 1035) with the addresses of the asked type, for no time at all."""

    def handle(self) -> None:
        query, connection = self.request
        labels, place = [], 12
        while length := query[place]:
            labels.append(query[place + 1 : place + 1 + length].decode())
            place += 1 + length
        (kind,) = struct.unpack_from("!H", query, place + 1)
        name = labels[0].replace("_", " ")
        answers = NAMES.get(name, [[]])
        turn = min(questions[name, kind], len(answers) - 1)
        questions[name, kind] += 1
        addresses = [ipaddress.ip_address(text) for text in answers[turn]]
        found = [address.packed for address in addresses if address.version == (4 if kind == TYPE_A else 6)]
        found = found if kind in (TYPE_A, TYPE_AAAA) else []
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
        records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(each)) + each for each in found)
        connection.sendto(head + query[12 : place + 5] + records, self.client_address)


def call(name: str) -> str:
    try:
        answer: dict[str, Any] = http(f"http://{name.replace(' ', '_')}.test/", timeout=5)
    except PermanentError as error:
        return "refused" if "is never called" in str(error) or "only public addresses" in str(error) else str(error)
    return str(answer["body"])


def main() -> None:
    for address in (PUBLIC, PUBLIC6, NAT64, *INSIDE):
        if not ipaddress.ip_address(address).is_loopback:
            prefix = f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
            subprocess.run(["ip", "address", "add", prefix, "dev", "lo"], check=True)
    servers = [Server(("::", 80), Service), socketserver.UDPServer(("127.0.0.53", 53), NameServer)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    outcomes: dict[str, str | int] = {}
    for name in NAMES:
        if name == "rebinding":
            outcomes |= {f"{name}, first": call(name), f"{name}, later": call(name)}
        else:
            outcomes[name] = call(name)
    sys.stdout.write(json.dumps(outcomes | {"requests inside": requests_inside}))


if __name__ == "__main__":
    main()
