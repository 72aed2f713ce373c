"""HTTP/1.1 as uvicorn and httptools speak it, with our form of errors and a limit on headers."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from manager.problems import MEDIA_TYPE, Kind, Problem

MAX_HEAD_BYTES = 64 * 1024

_NOT_HTTP = Kind(400, "not-http", "This is no HTTP request")
_HEAD_TOO_LARGE = Kind(431, "head-too-large", "The request's URL and headers are too large")


class Protocol(HttpToolsProtocol):
    """One connection."""

    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Counts what comes before the end of a request's headers: the parser keeps it all."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(Problem(_HEAD_TOO_LARGE, f"at most {MAX_HEAD_BYTES} bytes are taken"))

    def on_headers_complete(self) -> None:
        """The request is about to be answered."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request begins."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed."""
        self._refuse(Problem(_NOT_HTTP, msg))

    def _refuse(self, problem: Problem) -> None:
        body = problem.to_json()
        status_line = STATUS_LINE[problem.status]
        headers = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(status_line + headers + body)
        self.transport.close()
