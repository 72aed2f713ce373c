"""Answer a request whose route raised an error."""

import logging
from typing import Protocol

from jobqueue.errors import JobQueueError
from manager.api_keys.caller import Caller
from manager.http.asgi import Disconnected, Scope, Send, raw_path, send_body, send_problem
from manager.http.authentication import caller_of
from manager.http.dashboard_paths import wants_page
from manager.http.problems import INTERNAL, Problem, queue_problem
from manager.http.request_origin import REQUEST_ID

CLIENT_DISCONNECTED = 499
"""Status in the access log and the metrics if the client did not wait for the response (nginx's convention)."""

log = logging.getLogger(__name__)


class ErrorPages(Protocol):
    """Tells people of problems."""

    def error_page(self, problem: Problem, caller: Caller) -> tuple[bytes, dict[str, str]]:
        """Return the page that tells of a problem, and its header fields."""


async def send_error(
    send: Send, error: Exception, scope: Scope, *, sent_status: int = 0, pages: ErrorPages | None = None
) -> int:
    """Send the error as problem details, or as a page if a person has asked, and return the status; log an unexpected
    error.

    Args:
        sent_status: the status of a response that has begun: nothing is sent then. 0 if none has.
    """
    match error:
        case Problem():
            problem = error
        case JobQueueError():
            problem = queue_problem(error)
        case Disconnected():
            return CLIENT_DISCONNECTED
        case RuntimeError(__cause__=Problem()) if sent_status:
            # Starlette says so if something is wrong behind the head of a request whose answer, such as a stream of
            # events, has begun. The answer cannot tell it: it ends with the connection.
            return sent_status
        case _:
            # A failure of one request must not affect another.
            request_id = scope[REQUEST_ID].decode()
            log.error(
                *("event=request_failed method=%s path=%s request=%s", scope["method"], raw_path(scope), request_id),
                exc_info=error,
            )
            problem = Problem(INTERNAL, "unexpected error: see the manager's log")
    if sent_status:
        return sent_status
    if pages is not None and wants_page(scope):
        body, headers = pages.error_page(problem, caller_of(scope))
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send_body(send, problem.status, body, b"text/html; charset=utf-8", encoded)
        return problem.status
    await send_problem(send, problem, raw_path(scope))
    return problem.status
