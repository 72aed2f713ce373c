"""Operations on many jobs, over HTTP: `Client.operations`."""

# Made of workmanager/http/operations.py by scripts/generate_async_client.py. Do not edit.

from workmanager.aio.transport import AsyncTransport
from workmanager.http.operations import OperationView, _path
from workmanager.http.submission import new_id


class AsyncOperations:
    """Starts, shows and cancels operations. Every method raises ClientError if a manager refuses it."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def start(self, action: str, *, dry_run: bool = False, **job_filter: str | None) -> OperationView:
        """Start to `requeue`, `cancel` or `delete` all jobs that match.

        Args:
            dry_run: only count them.
            job_filter: at least one of `status`, `queue`, `function`, `label` (`name:value`) and `reason`.
        """
        given = {name: value for name, value in job_filter.items() if value is not None}
        body = {"action": action, "filter": given, "dry_run": dry_run, "id": new_id()}
        return dict(await self._transport.request_json("POST", "/operations", idempotent=True, json=body))

    async def list(self, limit: int = 100) -> list[OperationView]:
        """Return operations, the latest first."""
        answer = await self._transport.request_json("GET", "/operations", idempotent=True, params={"limit": limit})
        return [*answer["operations"]]

    async def show(self, operation_id: str) -> OperationView:
        """Return an operation, and how far it has come."""
        return dict(await self._transport.request_json("GET", _path(operation_id), idempotent=True))

    async def cancel(self, operation_id: str) -> OperationView:
        """Let an operation end after the step that it is in."""
        return dict(await self._transport.request_json("POST", f"{_path(operation_id)}/cancel", idempotent=True))
