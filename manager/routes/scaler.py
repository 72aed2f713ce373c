"""`/scaler`: what it sees and decides, and what operators tell it."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from manager.http.asgi import read_body, require_media_type
from manager.http.problems import PRICE_NOT_CONFIGURED, Problem, validation_problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.service import QueueConnection
from manager.scaler_factory import limits_from_settings
from manager.schemas.openapi import problem_responses, request_body, schema_reference
from manager.schemas.scaler import LimitsBody, ScalerOverrides, ScalerResponse
from manager.settings import ManagerSettings
from scaler.state.operator_overrides import Overrides, set_limits, set_paused
from scaler.state.store import read_state
from scaler.view import InstanceView, view_scaler

MAX_BODY_BYTES = 4096


class ScalerRoutes:
    """The handlers.

    Args:
        settings: for the limits that hold where operators have not set others.
    """

    def __init__(self, link: QueueConnection, settings: ManagerSettings) -> None:
        self._link = link
        self._limits = limits_from_settings(settings)

    def router(self) -> APIRouter:
        """The routes of these handlers."""
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
        """Shows who acts, what was seen and decided, and every instance."""
        NO_PARAMETERS.read(request.scope["query_string"])
        seen = await view_scaler(self._link.service.shards)
        launch_breaker = seen.state.launch_breaker
        return _json(
            {
                "leader": seen.leadership.address if seen.leadership else None,
                "epoch": seen.leadership.epoch if seen.leadership else None,
                **self._orders(seen.state.overrides),
                "observation": seen.report,
                "pending_launches": seen.state.pending_launches,
                "launch_breaker": {
                    "cooldowns": {
                        name: launch_breaker.cooldowns[name]
                        for name in sorted(launch_breaker.cooling_pools(seen.state.now))
                    },
                    "not_before": launch_breaker.not_before,
                    "failed_boots": launch_breaker.failed_boots,
                    "last_failure": launch_breaker.last_failure,
                },
                "instances": [_instance(each, seen.state.now) for each in seen.instances],
                "decisions": seen.decisions,
            }
        )

    async def pause(self, request: Request) -> Response:
        """Stops launching and letting go; what is dead is still cleared away."""
        return await self._pause(request, paused=True)

    async def resume(self, request: Request) -> Response:
        """Lets the scaler act again."""
        return await self._pause(request, paused=False)

    async def limit(self, request: Request) -> Response:
        """Sets limits for all managers, until they are set again."""
        NO_PARAMETERS.read(request.scope["query_string"])
        require_media_type(request.scope, ("application/json",))
        try:
            body = LimitsBody.model_validate_json(await read_body(request.scope, request.receive, MAX_BODY_BYTES))
        except ValidationError as error:
            raise validation_problem(error) from error
        if body.budget_per_hour is not None and not self._limits.hourly_price:
            raise Problem(
                PRICE_NOT_CONFIGURED, "a budget binds only where managers have WORKMANAGER_PRICE_PER_HOUR: set it first"
            )
        if body.model_fields_set:
            await set_limits(
                self._link.service.shards.all[0], {name: getattr(body, name) for name in body.model_fields_set}
            )
        return await self._answer_orders()

    async def _pause(self, request: Request, *, paused: bool) -> Response:
        NO_PARAMETERS.read(request.scope["query_string"])
        await set_paused(self._link.service.shards.all[0], paused=paused)
        return await self._answer_orders()

    async def _answer_orders(self) -> Response:
        book = await read_state(self._link.service.shards.all[0])
        return _json(self._orders(book.overrides))

    def _orders(self, orders: Overrides) -> dict[str, Any]:
        limits = orders.applied_to(self._limits)
        return {
            "paused": orders.paused,
            "limits": {
                "min_workers": limits.min_workers,
                "max_workers": limits.max_workers,
                "budget_per_hour": limits.hourly_budget,
            },
        }


def _instance(each: InstanceView, now: float) -> dict[str, Any]:
    instance, worker = each.instance, each.worker
    came = instance.arrived_at
    return {
        "id": instance.id,
        "state": each.phase,
        "age_seconds": round(max(0.0, now - instance.launched_at), 1),
        "boot_seconds": None if came is None else round(max(0.0, came - instance.launched_at), 1),
        "type": instance.kind,
        "zone": instance.zone,
        "market": instance.market,
        "running": worker.running if worker else 0,
        "interruption": worker.interruption if worker else "",
        "reason": instance.reason,
    }


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
