"""The body of a request, sent in pieces: a timeout is of one piece, as a whole body can take long on a slow line."""

from collections.abc import Iterator

PIECE_BYTES = 64 * 1024


def split(content: bytes) -> Iterator[bytes]:
    """Yield the pieces of a body. The request must give its whole length, as `length_field` does."""
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


def length_field(content: bytes | None) -> dict[str, str]:
    """Return the header field of a body's length; none if there is no body."""
    return {} if content is None else {"Content-Length": str(len(content))}
