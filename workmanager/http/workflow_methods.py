"""Workflows, over HTTP: submitted, shown, canceled, retried."""

import json
from collections.abc import Mapping
from typing import Any

from workmanager.http.paths import segment
from workmanager.http.submission import Submission, job_json, new_id
from workmanager.http.transport import Transport


class WorkflowMethods:
    """The part of the client that is about workflows."""

    _transport: Transport

    def submit_workflow(
        self,
        jobs: Mapping[str, Submission],
        *,
        finally_: Submission | None = None,
        workflow_id: str | None = None,
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
        return dict(self._transport.request_json("POST", "/workflows", idempotent=True, json=body))

    def workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Return a workflow: its `status`, and `jobs` by local name, each with its `id` and `status`."""
        return dict(self._transport.request_json("GET", f"/workflows/{segment(workflow_id)}", idempotent=True))

    def cancel_workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Cancel all jobs of a workflow that have not ended; the one that runs at the end runs."""
        path = f"/workflows/{segment(workflow_id)}/cancel"
        return dict(self._transport.request_json("POST", path, idempotent=True))

    def retry_workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Run again what did not finish in a workflow, and what waited for it."""
        path = f"/workflows/{segment(workflow_id)}/retry"
        return dict(self._transport.request_json("POST", path, idempotent=True))
