"""Answer a request whose route raised an error."""

import logging

from jobqueue.errors import JobQueueError
from manager.http.asgi import Disconnected, Scope, Send, raw_path, send_problem
from manager.http.problems import INTERNAL, Problem, queue_problem
from manager.http.request_origin import REQUEST_ID

CLIENT_DISCONNECTED = 499
"""Status in the access log and the metrics if the client did not wait for the response (nginx's convention)."""

log = logging.getLogger(__name__)


async def send_error(send: Send, error: Exception, scope: Scope, *, sent_status: int = 0) -> int:
    """Send the error as problem details and return the status; log an unexpected error.

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
    await send_problem(send, problem, raw_path(scope))
    return problem.status
