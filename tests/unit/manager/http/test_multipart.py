"""Reading the field `data` of a multipart form."""

from collections.abc import AsyncIterator

import pytest

from manager.http.multipart import read_boundary, read_field
from manager.http.problems import Problem


def part(name: str, content: bytes, extra: bytes = b"") -> bytes:
    return b'--B\r\nContent-Disposition: form-data; name="%b"\r\n%b\r\n%b\r\n' % (name.encode(), extra, content)


async def read(body: bytes, size: int = 1000) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return await read_field(b"B", pieces())


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
async def test_the_data_arrives_unchanged(size: int) -> None:
    data = bytes(range(256)) + b"\r\n--A\r\n--\r\n-"
    body = part("data", data, b"Content-Type: application/octet-stream\r\n") + b"--B--\r\n"
    assert await read(body, size) == data


async def test_empty_data_is_data() -> None:
    assert await read(part("data", b"") + b"--B--\r\n") == b""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B--\r\n",
        b"no form at all",
        part("file", b"x") + b"--B--\r\n",
        part("data", b"x") + part("data", b"y") + b"--B--\r\n",
        part("data", b"x") + part("other", b"y") + b"--B--\r\n",
        part("data", b"cut off")[:-2],
        part("data", b"no end"),
        b"--B\r\n\r\nno name\r\n--B--\r\n",
    ],
)
async def test_a_malformed_form_is_rejected(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await read(body)
    assert caught.value.status == 400


@pytest.mark.parametrize("content_type", [b"multipart/form-data", b"multipart/form-data; boundary="])
def test_a_form_without_a_boundary_is_rejected(content_type: bytes) -> None:
    with pytest.raises(Problem):
        read_boundary(content_type)
