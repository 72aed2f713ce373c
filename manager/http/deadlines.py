"""How long each step of a connection may take, so that no client can hold one by sending little or nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits in seconds and bytes.

    Attributes:
        head_seconds: from the connection, or from the first byte of a later request, to the end of the head.
        idle_seconds: from a response to the next request. Longer than load balancers keep idle connections, so that
            none sends a request into a closing one.
        body_seconds: in each such time, at least `body_bytes` of a body arrive.
        body_bytes: see `body_seconds`.
        unsent_seconds: in each such time, the client reads something of its response.
        farewell_seconds: after a response that ends the connection before the request was read, the rest of the request
            is read and thrown away for so long. If the connection were closed at once, the system would reset it, and
            the client, or a proxy, might never see the response.
        silence_seconds: the same, if nothing arrives meanwhile.
        farewell_bytes: how much is thrown away at most.
    """

    head_seconds: float = 20.0
    idle_seconds: float = 75.0
    body_seconds: float = 20.0
    body_bytes: int = 10_000
    unsent_seconds: float = 30.0
    farewell_seconds: float = 30.0
    silence_seconds: float = 5.0
    farewell_bytes: int = 64 * 1024 * 1024


DEFAULT_DEADLINES = Deadlines()
