"""Random input never crashes what reads requests: it is answered with a status below 500, or not at all."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.http.asgi import payload_too_large
from manager.http.content_encoding import decoded
from manager.http.multipart import read_boundary, read_field
from manager.http.ndjson import LineSplitter
from manager.http.problems import Problem
from manager.http.query_parameters import Choice, Integer, Number, Query, Text
from manager.http.request_head import read_fields, split_target
from manager.http.request_reader import MAX_HEAD_BYTES, RequestReader
from tests.fuzzing import fuzz_settings

fuzz = fuzz_settings(100)

TOKENS = [
    *(
        b"GET ",
        b"PUT ",
        b"OPTIONS * ",
        b"CONNECT a:1 ",
        b"/",
        b"/echo",
        b"?a=%",
        b"%zz",
        b"http://x/",
        b" HTTP/1.1\r\n",
    ),
    *(b" HTTP/1.0\r\n", b" HTTP/2.0\r\n", b"Host: x\r\n", b"Host:", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: h2c\r\n",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"3\r\nabc\r\n",
        b"abc",
    ),
    *(b"3;x=y\r\n", b"A: b\r\n", b" ", b"\n", b"\r", b":", b"\0", b"\xff", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]
MESSAGES = st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)), max_size=25).map(b"".join)
CHUNKED_HEAD = b"PUT /echo?a=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
VALID = CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r\n"
QUERY = Query(
    Integer("top", "", 1, 10_000, required=True),
    Number("wait", "", 0, 55, default=0),
    Choice("order", "", ("latest", "oldest"), default="latest"),
    Text("id", "", "[A-Za-z0-9_-]{1,64}"),
)


class Requests:
    """Takes requests and their bodies, as connections do."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ended = 0

    def begin_request(self, scope: dict[str, object], *, keep_alive: bool, expects_continue: bool) -> "Requests":
        assert isinstance(scope["path"], str)
        assert self.ended == len(self.bodies), "a request begins when the one before it has ended"
        self.bodies.append(b"")
        return self

    def add_body(self, piece: bytes) -> None:
        self.bodies[-1] += piece

    def end_body(self) -> None:
        self.ended += 1


def check_status(problem: Problem | None) -> None:
    """Check that the client is told what is wrong with its request."""
    assert problem is not None
    assert problem.status in (400, 413)


def read(pieces: list[bytes]) -> tuple[list[bytes], int, int | None]:
    """Return bodies, the number of complete ones, and the status of an error."""
    requests = Requests()
    reader = RequestReader(requests, {}, "/prefix")  # type: ignore[arg-type]  # it only passes the scope on
    status = None
    try:
        for piece in pieces:
            reader.feed(piece)
    except Problem as problem:
        status = problem.status
    reader.describe()
    return requests.bodies, requests.ended, status


@fuzz
@given(MESSAGES, st.lists(st.integers(0, 300), max_size=5))
def test_requests_are_read_alike_in_any_packets(message: bytes, cuts: list[int]) -> None:
    whole = read([message])
    places = sorted({0, *(cut for cut in cuts if cut < len(message)), len(message)})
    parts = [message[first:last] for first, last in pairwise(places)]
    single = [message[place : place + 1] for place in range(len(message))]
    for given_ in (whole, read(parts), read(single)):
        assert given_[:2] == whole[:2]
        assert (given_[2] is None) == (whole[2] is None)
        assert given_[2] is None or 400 <= given_[2] < 506


@pytest.mark.parametrize("last_bytes", [1, 4_000, 8_000])
def test_a_head_is_limited_wherever_its_last_packet_begins(last_bytes: int) -> None:
    def packets(head_bytes: int, behind: bytes) -> list[bytes]:
        head = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
        head += b"y" * (head_bytes - len(head) - 4) + b"\r\n\r\n"
        return [head[:-last_bytes], head[-last_bytes:] + behind]

    assert read(packets(MAX_HEAD_BYTES - 100, behind=b"")) == ([b""], 1, None)
    assert read(packets(MAX_HEAD_BYTES - 100, behind=VALID * 20))[2] is None
    assert read(packets(MAX_HEAD_BYTES + 100, behind=b""))[2] == 431


@pytest.mark.parametrize("last_bytes", [1, 4_000, 8_000])
@pytest.mark.parametrize("chunks", [1, 10_000])
@pytest.mark.parametrize("first", [b"0\r\nX: ", b"0;x="], ids=["trailer", "extension"])
def test_what_stands_beside_a_body_is_limited_wherever_its_last_packet_begins(
    first: bytes, chunks: int, last_bytes: int
) -> None:
    def packets(beside_bytes: int, behind: bytes) -> list[bytes]:
        body = b"1\r\nx\r\n" * chunks + first + b"y" * (beside_bytes - len(first))
        message = body + b"\r\n\r\n"
        places = [*range(0, len(message) - last_bytes, 8_000), len(message) - last_bytes]
        pieces = [message[start:end] for start, end in pairwise(places)]
        return [CHUNKED_HEAD, *pieces, message[-last_bytes:] + behind]

    assert read(packets(MAX_HEAD_BYTES - 100, behind=b"")) == ([b"x" * chunks], 1, None)
    assert read(packets(MAX_HEAD_BYTES - 9_000, behind=VALID * 20))[2] is None
    assert read(packets(MAX_HEAD_BYTES + 10, behind=b""))[2] == 431


@fuzz
@given(st.integers(0, len(VALID) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_request_is_read_or_refused(place: int, new: bytes, removed: int) -> None:
    damaged = VALID[:place] + new + VALID[place + removed :]
    bodies, ended, _ = read([damaged + VALID])
    assert ended <= len(bodies) <= 3


@fuzz
@given(st.binary(max_size=200))
def test_a_target_is_split_or_refused(target: bytes) -> None:
    try:
        split = split_target(target or b"/")
    except (Problem, UnicodeDecodeError):
        return
    assert split.path.startswith("/") or split.path == "*" or not target.isascii()


@fuzz
@given(st.lists(st.tuples(st.sampled_from([b"host", b"accept", b"x", b"origin"]), st.binary(max_size=9)), max_size=9))
def test_fields_are_joined_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        fields = read_fields(headers)
    except Problem as problem:
        check_status(problem)
        return
    for name, value in headers:
        assert value in fields[name]


@fuzz
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    *(
                        b"top",
                        b"wait",
                        b"order",
                        b"id",
                        b"=",
                        b"&",
                        b"1",
                        b"1e9",
                        b"-0",
                        b"latest",
                        b"%31",
                        b"%",
                        b"+",
                        b"%ff",
                        b"%00",
                    ),
                    *(b"9" * 30, b"1.5", b"NaN", b"\xd9\xa1", b"a_-"),
                ]
            ),
            max_size=12,
        ).map(b"".join),
    )
)
def test_a_query_is_parsed_or_refused(query: bytes) -> None:
    try:
        values = QUERY.parse(query)
    except Problem as problem:
        check_status(problem)
        return
    assert 1 <= values["top"] <= 10_000
    assert 0 <= values["wait"] <= 55
    assert values["id"] is None or values["id"].isascii()


@fuzz
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4), st.integers(1, 50))
def test_lines_are_the_same_in_any_pieces(body: bytes, cuts: list[int], longest: int) -> None:
    def split(pieces: list[bytes]) -> list[bytes | None]:
        splitter = LineSplitter(longest)
        return [line for piece in pieces for line in splitter.feed(piece)] + list(splitter.finish())

    places = sorted({0, *(cut for cut in cuts if cut < len(body)), len(body)})
    lines = split([body])
    assert split([body[first:last] for first, last in pairwise(places)]) == lines
    assert all(line is None or len(line) <= longest for line in lines)


FORM_PARTS = [
    *(b"--B", b"--B--", b"\r\n", b"\r\n\r\n", b'Content-Disposition: form-data; name="data"', b"x", b"-", b"\n"),
    *(b"Content-Disposition: ", b"name=", b"\xff", b"data", b"; filename*=UTF-8''%e2", b"Content-Type: a/b", b":"),
]


@fuzz
@given(
    st.lists(st.one_of(st.sampled_from(FORM_PARTS), st.binary(max_size=3)), max_size=20).map(b"".join),
    st.integers(1, 99),
)
def test_a_form_is_read_or_refused(body: bytes, size: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    try:
        data = asyncio.run(read_field(b"B", pieces()))
    except Problem as problem:
        check_status(problem)
        return
    assert data in body


@fuzz
@given(st.binary(max_size=100))
def test_a_boundary_is_read_or_refused(content_type: bytes) -> None:
    for value in (content_type, b"multipart/form-data; boundary=" + content_type):
        try:
            assert read_boundary(value)
        except Problem as problem:
            check_status(problem)


@fuzz
@given(st.binary(max_size=2000), st.integers(0, 60), st.binary(max_size=2), st.integers(1, 500), st.booleans())
def test_compressed_bodies_are_decoded_or_refused(data: bytes, place: int, new: bytes, size: int, damage: bool) -> None:
    encoded = gzip.compress(data, mtime=0)
    if damage:
        encoded = encoded[:place] + new + encoded[place + len(new) :]
    pieces = [encoded[start : start + size] for start in range(0, len(encoded), size)]

    async def receive() -> dict[str, object]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def read_all() -> bytes:
        decode = decoded({b"content-encoding": b"gzip"}, receive)
        body = b""
        while True:
            message = await decode()
            body += message["body"]
            if len(body) > MAX_HEAD_BYTES:
                raise payload_too_large(MAX_HEAD_BYTES)
            if not message["more_body"]:
                return body

    try:
        body = asyncio.run(read_all())
    except Problem as problem:
        check_status(problem if damage else None)
        return
    assert damage or body == data
