"""`/scaler`: show the scaler's observations and decisions; pause, resume and limit it."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from manager.http.asgi import read_json
from manager.http.authentication import author_of
from manager.http.json_response import json_response
from manager.http.problems import LIMITS_CONFLICT, PRICE_NOT_CONFIGURED, Problem, validation_problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.scaler_factory import limits_from_settings
from manager.schemas.openapi import problem_responses, request_body, schema_reference
from manager.schemas.scaler import LimitsBody, ScalerOverrides, ScalerResponse
from manager.settings import ManagerSettings
from scaler.state.operator_overrides import Overrides, set_limits, set_paused
from scaler.state.store import read_state
from scaler.view import InstanceView, ScalerView, view_scaler

MAX_BODY_BYTES = 4096


class ScalerRoutes:
    """Handlers of the scaler's routes.

    Args:
        settings: hold the limits that apply unless an operator has set others.
    """

    def __init__(self, queue: QueueConnection, settings: ManagerSettings) -> None:
        self._queue = queue
        self._limits = limits_from_settings(settings)

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["scaler"])
        router.add_api_route("/scaler", self.show, response_model=ScalerResponse, responses=problem_responses(400, 503))
        for path, handler in (("/scaler/pause", self.pause), ("/scaler/resume", self.resume)):
            router.add_api_route(
                path, handler, methods=["POST"], response_model=ScalerOverrides, responses=problem_responses(400, 503)
            )
        router.add_api_route(
            "/scaler/limits",
            self.limit,
            methods=["PUT"],
            response_model=ScalerOverrides,
            responses=problem_responses(400, 409, 413, 415, 422, 503),
            openapi_extra={"requestBody": request_body("application/json", schema_reference("LimitsBody"))},
        )
        return router

    async def show(self, request: Request) -> Response:
        """Show the leader, its observations and decisions, and every instance."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return json_response(self.document(await view_scaler(self._queue.service.shards)))

    def document(self, view: ScalerView) -> dict[str, Any]:
        """Return the answer."""
        breaker = view.state.launch_breaker
        return {
            "leader": view.leadership.address if view.leadership else None,
            "epoch": view.leadership.epoch if view.leadership else None,
            **self._overrides_document(view.state.overrides),
            "observation": view.report,
            "pending_launches": view.state.pending_launches,
            "launch_breaker": {
                "cooldowns": {name: breaker.cooldowns[name] for name in sorted(breaker.cooling_pools(view.state.now))},
                "not_before": breaker.not_before,
                "failed_boots": breaker.failed_boots,
                "last_failure": breaker.last_failure,
            },
            "cost_per_hour": self._limits.hourly_price * len(view.instances) if self._limits.hourly_price else None,
            "instances": [_instance_document(each, view.state.now) for each in view.instances],
            "decisions": view.decisions,
        }

    async def pause(self, request: Request) -> Response:
        """Stop launching and draining workers. Dead instances are still terminated."""
        return await self._set_paused(request, paused=True)

    async def resume(self, request: Request) -> Response:
        """Let the scaler launch and drain workers again."""
        return await self._set_paused(request, paused=False)

    async def limit(self, request: Request) -> Response:
        """Set limits for all managers, until they are changed again."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        try:
            body = LimitsBody.model_validate_json(await read_json(request.scope, request.receive, MAX_BODY_BYTES))
        except ValidationError as error:
            raise validation_problem(error) from error
        if body.budget_per_hour is not None and not self._limits.hourly_price:
            raise Problem(
                PRICE_NOT_CONFIGURED,
                "budget_per_hour needs the price of an instance: set WORKMANAGER_PRICE_PER_HOUR on the managers",
            )
        if body.min_workers is not None:
            await self._check_minimum(body)
        if body.model_fields_set:
            given = {name: getattr(body, name) for name in sorted(body.model_fields_set)}
            await set_limits(self._queue.service.shards.all[0], given, author_of(request.scope))
        return await self._overrides_response()

    async def _check_minimum(self, body: LimitsBody) -> None:
        """Refuse a minimum that is more than the maximum, which would apply instead."""
        overrides = (await read_state(self._queue.service.shards.all[0])).overrides
        if "max_workers" in body.model_fields_set:
            overrides = replace(overrides, max_workers=body.max_workers)
        most = overrides.applied_to(self._limits).max_workers
        if body.min_workers is not None and body.min_workers > most:
            raise Problem(
                LIMITS_CONFLICT,
                f"min_workers {body.min_workers} is more than max_workers {most}: give a smaller minimum, or set both",
            )

    async def _set_paused(self, request: Request, *, paused: bool) -> Response:
        NO_PARAMETERS.parse(request.scope["query_string"])
        await set_paused(self._queue.service.shards.all[0], author_of(request.scope), paused=paused)
        return await self._overrides_response()

    async def _overrides_response(self) -> Response:
        state = await read_state(self._queue.service.shards.all[0])
        return json_response(self._overrides_document(state.overrides))

    def _overrides_document(self, overrides: Overrides) -> dict[str, Any]:
        limits = overrides.applied_to(self._limits)
        return {
            "paused": overrides.paused,
            "limits": {
                "min_workers": limits.min_workers,
                "max_workers": limits.max_workers,
                "budget_per_hour": limits.hourly_budget,
            },
        }


def _instance_document(view: InstanceView, now: float) -> dict[str, Any]:
    instance, worker = view.instance, view.worker
    arrived_at = instance.arrived_at
    return {
        "id": instance.id,
        "state": view.phase,
        "age_seconds": round(max(0.0, now - instance.launched_at), 1),
        "boot_seconds": None if arrived_at is None else round(max(0.0, arrived_at - instance.launched_at), 1),
        "type": instance.kind,
        "zone": instance.zone,
        "market": instance.market,
        "running": worker.running if worker else 0,
        "jobs": worker.jobs if worker else (),
        "interruption": worker.interruption if worker else "",
        "reason": instance.reason,
    }
