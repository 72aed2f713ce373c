"""Forms that pages send, and the way back to the page."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request, Response

from manager.http.asgi import read_body, require_media_type
from manager.http.dashboard_paths import HOME, is_dashboard_path
from manager.http.problems import BAD_BODY, Problem
from manager.http.query_parameters import Choice, Integer, Parameter, Query

MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 32
DONE: dict[str, str | tuple[str, str]] = {
    "paused": "The queue is paused: workers take no more jobs of it. Those that run go on.",
    "resumed": "The queue is resumed.",
    "canceled": "The job is canceled.",
    "stopping": "The job's worker was told to stop it. It has not confirmed that yet.",
    "requeued": "The job is queued again.",
    "deleted": "The job is deleted.",
    "requeued-jobs": ("1 job is queued again.", "{n:,} jobs are queued again."),
    "deleted-jobs": ("1 job is deleted.", "{n:,} jobs are deleted."),
    "scaler-paused": "The scaler is paused: it launches and drains nothing.",
    "scaler-resumed": "The scaler is resumed.",
    "draining": "The worker is told to drain: it takes no more jobs, ends those that it runs, and exits.",
    "limits-set": "The limits hold for all managers from now on.",
    "schedule-paused": "The schedule is paused. What would have run meanwhile never does.",
    "schedule-resumed": "The schedule is resumed.",
    "triggered": "The schedule runs now.",
    "schedule-deleted": "The schedule is deleted.",
    "workflow-canceled": "What waited is canceled. What runs is being stopped.",
    "workflow-retried": "What did not finish runs again.",
    "callback-retried": "The callback is sent now.",
    "callbacks-replayed": ("1 callback is sent again.", "{n:,} callbacks are sent again."),
    "limit-set": "The limit holds from now on.",
    "revoked": "The key is revoked: within five seconds no manager accepts it.",
}
"""What a page says after an action, by the name that its address has; of several things in the singular and plural."""


def page_query(*parameters: Parameter) -> Query:
    """Return the query parameters of a page, which can say what was just done."""
    return Query(
        *parameters,
        Choice("done", "What was done", tuple(DONE)),
        Integer("n", "To how many", 0, 10**9, default=0),
    )


def notice_of(done: str | None, number: int) -> str | None:
    """Return what the page says about it."""
    if done is None:
        return None
    text = DONE[done]
    return text if isinstance(text, str) else text[number != 1].format(n=number)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        Problem: 400, it is none; 413, 415.
    """
    require_media_type(request.scope, ("application/x-www-form-urlencoded",))
    body = await read_body(request.scope, request.receive, MAX_FORM_BYTES)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as error:
        raise Problem(BAD_BODY, "the form cannot be read") from error


def own_page(text: str, otherwise: str = HOME) -> str:
    """Return a page of the dashboard that a person wants to go to, unless the text names something else."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    # A browser takes what follows two slashes or more for a host, whatever `urlsplit` does.
    is_own = not parts.scheme and not text.startswith("//") and is_dashboard_path(parts.path)
    return text if is_own and text.isascii() and text.isprintable() and "\\" not in text else otherwise


def go_to(page: str, done: str | None = None, number: int = 0) -> Response:
    """Send the browser to a page, which says what was done."""
    if done is not None:
        parts = urlsplit(page)
        page = f"{page}{'&' if parts.query else '?'}{urlencode({'done': done, 'n': number})}"
    return Response(status_code=303, headers={"Location": page, "Cache-Control": "no-store"})
