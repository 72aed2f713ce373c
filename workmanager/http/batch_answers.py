"""What a manager answers to one line of `POST /jobs/batch`."""

from http import HTTPStatus
from typing import Any

from workmanager.errors import ClientError, client_error


def can_be_sent_again(result: str | ClientError, *, has_id: bool) -> bool:
    if not isinstance(result, ClientError):
        return False
    # 429: it was not carried out.
    return result.status == HTTPStatus.TOO_MANY_REQUESTS or (has_id and result.status == HTTPStatus.SERVICE_UNAVAILABLE)


def retry_after_seconds(result: str | ClientError) -> float:
    """Return how long a refused line of a batch asks to wait."""
    return (result.retry_after_seconds or 0.0) if isinstance(result, ClientError) else 0.0


def batch_error(error: Any) -> ClientError:
    problem: dict[str, Any] = error if isinstance(error, dict) else {"detail": str(error)}
    message = str(problem.get("detail") or problem.get("title") or "refused")
    if problem.get("status") is None:
        return ClientError(message, None, problem)  # Not `Unavailable`: a manager has answered.
    seconds = problem.get("retry_after")
    return client_error(message, problem["status"], problem, seconds if isinstance(seconds, int | float) else None)
