"""Workflows, over HTTP: submitted, shown, canceled, retried."""

# Made of workmanager/http/workflow_methods.py by scripts/generate_async_client.py. Do not edit.

import json
from collections.abc import Mapping
from typing import Any

from workmanager.aio.transport import AsyncTransport
from workmanager.http.paths import segment
from workmanager.http.submission import Submission, job_json, new_id


class AsyncWorkflowMethods:
    """The part of the client that is about workflows."""

    _transport: AsyncTransport

    async def submit_workflow(
        self, jobs: Mapping[str, Submission], *, finally_: Submission | None = None, workflow_id: str | None = None
    ) -> Mapping[str, Any]:
        """Submit jobs by local names, which wait for each other by these names (`depends_on`): all of them, or none.

        Args:
            finally_: a job that runs when all others have ended, however they did.
            workflow_id: with it, a repeat changes nothing; default: a new one.

        Returns:
            `id`, and `jobs`: the id of each job by its name.
        """
        prepared = {name: json.loads(job_json(job)) for name, job in jobs.items()}
        body: dict[str, Any] = {"jobs": prepared, "id": workflow_id or new_id()}
        if finally_ is not None:
            body["finally"] = json.loads(job_json(finally_))
        return dict(await self._transport.request_json("POST", "/workflows", idempotent=True, json=body))

    async def workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Return a workflow: its `status`, and `jobs` by local name, each with its `id` and `status`."""
        return dict(await self._transport.request_json("GET", f"/workflows/{segment(workflow_id)}", idempotent=True))

    async def cancel_workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Cancel all jobs of a workflow that have not ended; the one that runs at the end runs."""
        path = f"/workflows/{segment(workflow_id)}/cancel"
        return dict(await self._transport.request_json("POST", path, idempotent=True))

    async def retry_workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Run again what did not finish in a workflow, and what waited for it."""
        path = f"/workflows/{segment(workflow_id)}/retry"
        return dict(await self._transport.request_json("POST", path, idempotent=True))
