"""Requests with API keys, for tests of managers that ask for them."""

from typing import Any

import httpx

from tests.acceptance.manager.manager_program import ManagerProgram

OPERATOR = "a-key-of-the-environment"


def as_(manager: ManagerProgram, key: str) -> httpx.Client:
    """Return a client that sends the key."""
    # Without TLS there are no certificates to read, which takes longer than a request.
    return httpx.Client(base_url=manager.url, timeout=90, verify=False, headers={"Authorization": f"Bearer {key}"})


def create(manager: ManagerProgram, *scopes: str, **options: Any) -> dict[str, Any]:
    """Create a key and return the answer."""
    with as_(manager, OPERATOR) as operator:
        answer = operator.post("/keys", json={"scopes": scopes, **options})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


def status(manager: ManagerProgram, key: str, method: str = "GET", path: str = "/jobs") -> int:
    """Return the status of the answer to a request with the key."""
    with as_(manager, key) as client:
        return client.request(method, path).status_code
