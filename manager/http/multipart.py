"""Read the field `data`, a job's binary data, from a streamed `multipart/form-data` body."""

from collections.abc import AsyncIterator

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from manager.http.problems import BAD_BODY, Problem

FIELD = "data"
OVERHEAD_BYTES = 64 * 1024
"""Allowance for boundaries and part headers in the size limit of a form."""


def read_boundary(content_type: bytes) -> bytes:
    """Return the boundary in a Content-Type.

    Raises:
        Problem: 400, it has no boundary.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Problem(BAD_BODY, "the Content-Type has no boundary")
    return boundary


async def read_field(boundary: bytes, pieces: AsyncIterator[bytes]) -> bytes:
    """Return the content of the field `data`.

    Raises:
        Problem: 400: the body is not multipart, the field is missing or given twice, or there is another field.
    """
    parts = _Parts()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.add_header_name,
                "on_header_value": parts.add_header_value,
                "on_header_end": parts.end_header,
                "on_headers_finished": parts.end_headers,
                "on_part_data": parts.add_data,
                "on_end": parts.end,
            },
        )
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        raise Problem(BAD_BODY, f"the body is not multipart/form-data: {error}") from error
    if not parts.ended:
        raise Problem(BAD_BODY, "the body ends before its last boundary")
    if not parts.fields:
        raise Problem(BAD_BODY, f"the field '{FIELD}' is missing")
    return bytes(parts.data)


class _Parts:
    """The parser's callbacks, and what they have found so far."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.fields = 0
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()
        self._field: str | None = None

    def begin(self) -> None:
        self._field = None

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._name.clear()
        self._value.clear()

    def end_headers(self) -> None:
        if self._field != FIELD:
            named = "without a name" if self._field is None else f"named {self._field[:80]!r}"
            raise Problem(BAD_BODY, f"the only field must be '{FIELD}'; found one {named}")
        self.fields += 1
        if self.fields > 1:
            raise Problem(BAD_BODY, f"the field '{FIELD}' is given twice")

    def add_data(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]

    def end(self) -> None:
        self.ended = True
