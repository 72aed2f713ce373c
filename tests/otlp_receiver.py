"""A collector: takes spans in OTLP over HTTP, as protobuf, and keeps them."""

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Received:
    """A span. Ids are in hexadecimal digits, times in seconds.

    Attributes:
        parent_id: '' for the first span of a trace.
        links: pairs of trace id and span id.
        service: name of the program that made it.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    failed: bool
    message: str
    began_at: float
    ended_at: float
    service: str

    @property
    def place(self) -> tuple[str, str]:
        """Trace id and span id."""
        return self.trace_id, self.span_id


class OtlpReceiver:
    """The server. `block` makes it take requests and never answer.

    Args:
        address: that it listens on.

    Attributes:
        senders: by service, the addresses that its spans came from.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.spans: list[Received] = []
        self.paths: set[str] = set()
        self.senders: dict[str, set[str]] = {}
        self.requests = 0
        self._unblocked = threading.Event()
        self._unblocked.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests += 1
                receiver._unblocked.wait()
                whole = gzip.decompress(body) if self.headers.get("Content-Encoding") else body
                receiver._take(self.path, whole, str(self.client_address[0]))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Senders may break off."""

        self._server = Server((address, 0), Handler)
        self.url = f"http://{address}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def block(self) -> None:
        """Take requests, and do not answer until `unblock`."""
        self._unblocked.clear()

    def unblock(self) -> None:
        """Answer again."""
        self._unblocked.set()

    def wait(self, wanted: Callable[[Received], bool], count: int = 1) -> list[Received]:
        """Return the spans that are wanted, as soon as there are so many, in the order of their beginning."""

        def found() -> list[Received]:
            return sorted(filter(wanted, self.spans), key=lambda span: span.began_at)

        until(lambda: len(found()) >= count, wanted=f"{count} spans")
        return found()

    def of_job(self, job_id: str, name: str, count: int = 1) -> list[Received]:
        """Return the spans of a job whose name begins so."""
        return self.wait(
            lambda span: span.name.startswith(name) and span.attributes.get("messaging.message.id") == job_id, count
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unblock()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, body: bytes, sender: str) -> None:
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(resource.resource.attributes).get("service.name", "")
            self.senders.setdefault(service, set()).add(sender)
            for scope in resource.scope_spans:
                self.spans += [_received(span, service) for span in scope.spans]


def _received(span: Any, service: str) -> Received:
    return Received(
        name=span.name,
        kind=SentSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_values(span.attributes),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        message=span.status.message,
        began_at=span.start_time_unix_nano / 1e9,
        ended_at=span.end_time_unix_nano / 1e9,
        service=service,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
