"""Decode compressed bodies."""

import zlib
from collections.abc import Mapping

from manager.http.asgi import Message, Receive
from manager.http.problems import BAD_BODY, WRONG_ENCODING, Problem

PIECE_BYTES = 64 * 1024
"""A body is decoded in pieces of at most this size, so that whoever limits it can stop in time."""
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def decoded(fields: Mapping[bytes, bytes], receive: Receive) -> Receive:
    """Return a `receive` that yields the decoded body of a request with Content-Encoding.

    Raises:
        Problem: 415, for another encoding than gzip, or several.
    """
    encoding = fields[b"content-encoding"].strip(b" \t").lower()
    if encoding in (b"", b"identity"):
        return receive
    if encoding not in (b"gzip", b"x-gzip"):
        raise Problem(
            WRONG_ENCODING,
            "send the body as it is, or with Content-Encoding: gzip",
            headers={"Accept-Encoding": "gzip"},
        )
    return _GzipBody(receive).receive


class _GzipBody:
    """Decodes one body, which may consist of several gzip members (RFC 1952)."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._decoder = zlib.decompressobj(_GZIP_WINDOW)
        self._is_complete = False
        self._encoded = b""
        self._more_encoded = True

    async def receive(self) -> Message:
        """Return the next piece.

        Raises:
            Problem: 400, it is not gzip.
        """
        while not self._is_complete:
            if not self._encoded and self._more_encoded:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._encoded, self._more_encoded = message.get("body", b""), message.get("more_body", False)
            piece = self._decode()
            if piece or self._is_complete:
                return {"type": "http.request", "body": piece, "more_body": not self._is_complete}
        return await self._receive()

    def _decode(self) -> bytes:
        if self._decoder.eof and self._encoded:
            self._decoder = zlib.decompressobj(_GZIP_WINDOW)
        try:
            piece = self._decoder.decompress(self._encoded, PIECE_BYTES)
        except zlib.error as error:
            raise Problem(BAD_BODY, f"the body is not in gzip: {error}") from error
        self._encoded = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
        if not self._encoded and not self._more_encoded and len(piece) < PIECE_BYTES:
            if not self._decoder.eof:
                raise Problem(BAD_BODY, "the body's gzip data is cut off")
            self._is_complete = True
        return piece
