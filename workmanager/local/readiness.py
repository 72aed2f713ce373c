"""Whether a manager on this machine is ready, and why not."""

import http.client
import json
from http import HTTPStatus

HOST = "127.0.0.1"
ANSWER_SECONDS = 2.0


def why_not_ready(port: int) -> str | None:
    """Return why the manager at a port is not ready; None if it is."""
    # Asked many times while managers need the processor to start. The client's imports cost more than the question.
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return None if answer.status == HTTPStatus.OK else _detail(answer.read())
    except (OSError, http.client.HTTPException):
        return "it does not answer yet"
    finally:
        connection.close()


def _detail(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    return str(problem.get("detail")) if isinstance(problem, dict) else "it answers with an error"
