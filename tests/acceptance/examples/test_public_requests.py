"""Requests as public clients of Queue & Work Management and of its kind send them: curl, requests, fetch, axios.

Whatever its `Content-Type`, a body counts as it is; a form's field `data` counts as its content.
"""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.examples.checkout import Checkout
from tests.acceptance.sha512 import sha512

BINARY = os.urandom(100_000)
FORM = "application/x-www-form-urlencoded"
ENQUEUED: dict[str, tuple[dict[str, Any], bytes]] = {
    "--data-binary": ({"content": BINARY, "headers": {"Content-Type": FORM}}, BINARY),
    "-d data=Hello": ({"content": b"data=Hello", "headers": {"Content-Type": FORM}}, b"data=Hello"),
    "-d as text": ({"content": b"Sample data", "headers": {"Content-Type": "text/plain"}}, b"Sample data"),
    "a JSON text": ({"content": b'"abc"', "headers": {"Content-Type": "application/json"}}, b'"abc"'),
    "-F data=@file": ({"files": {"data": ("dummy", BINARY, "application/octet-stream")}}, BINARY),
    "-F data=text": ({"files": {"data": (None, b"test_file")}}, b"test_file"),
    "requests, with bytes": ({"content": BINARY}, BINARY),
    "Connection: close": ({"content": b"Hello World", "headers": {"Connection": "close"}}, b"Hello World"),
    "no body": ({}, b""),
}
REFUSED = {
    "another field": ("PUT", "/enqueue?iterations=3", {"files": {"file": b"x"}}, "the only field must be 'data'"),
    "no iterations": ("PUT", "/enqueue", {"content": b"x"}, "iterations: missing"),
    "iterations in the path": ("PUT", "/enqueue/3", {"content": b"x"}, "GET /docs and /openapi.json show all paths"),
    "between managers": ("POST", "/pullCompleted?top=1&from=manager", {}, "known parameters: top, order, lease, wait"),
    "GET": ("GET", "/pullCompleted?top=1", {}, "/pullCompleted supports POST"),
}


@pytest.fixture
def http(checkout: Checkout) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=checkout.up.urls[0], timeout=60) as http:
        yield http


@pytest.mark.parametrize("name", ENQUEUED)
def test_a_public_clients_enqueue_hashes_what_it_has_sent(http: httpx.Client, checkout: Checkout, name: str) -> None:
    request, hashed = ENQUEUED[name]
    answer = http.put("/enqueue?iterations=5", **request)
    assert answer.status_code == 200, answer.text
    job = httpx.get(f"{checkout.up.urls[1]}/jobs/{answer.json()['Work ID']}?wait=30", timeout=60).json()
    assert job["result"] == sha512(hashed, 5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_taken_is_refused_with_what_is(http: httpx.Client, name: str) -> None:
    method, path, request, told = REFUSED[name]
    answer = http.request(method, path, **request)
    assert (400 <= answer.status_code < 500, told in answer.json()["detail"]) == (True, True), answer.text
