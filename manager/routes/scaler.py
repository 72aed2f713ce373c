"""`/scaler`: what it sees and decides, and what operators tell it."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from manager.http.asgi import read_body, require_media_type
from manager.http.problems import NO_PRICE, Problem, of_validation
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.service import QueueLink
from manager.scaler_factory import limits_of
from manager.schemas.openapi import problems, reference, request_body
from manager.schemas.scaler import LimitsBody, ScalerAnswer, ScalerOrders
from manager.settings import ManagerSettings
from scaler.state.operator_overrides import Orders, limit, pause
from scaler.state.store import read_book
from scaler.view import InstanceView, view_scaler

MOST_BODY_BYTES = 4096


class ScalerRoutes:
    """The handlers.

    Args:
        settings: for the limits that hold where operators have not set others.
    """

    def __init__(self, link: QueueLink, settings: ManagerSettings) -> None:
        self._link = link
        self._limits = limits_of(settings)

    def router(self) -> APIRouter:
        """The routes of these handlers."""
        router = APIRouter(tags=["scaler"])
        router.add_api_route("/scaler", self.show, response_model=ScalerAnswer, responses=problems(400, 503))
        for path, handler in (("/scaler/pause", self.pause), ("/scaler/resume", self.resume)):
            router.add_api_route(
                path, handler, methods=["POST"], response_model=ScalerOrders, responses=problems(400, 503)
            )
        router.add_api_route(
            "/scaler/limits",
            self.limit,
            methods=["PUT"],
            response_model=ScalerOrders,
            responses=problems(400, 409, 413, 415, 422, 503),
            openapi_extra={"requestBody": request_body("application/json", reference("LimitsBody"))},
        )
        return router

    async def show(self, request: Request) -> Response:
        """Shows who acts, what was seen and decided, and every instance."""
        NO_PARAMETERS.read(request.scope["query_string"])
        seen = await view_scaler(self._link.service.shards)
        caution = seen.book.caution
        return _json(
            {
                "leader": seen.leadership.address if seen.leadership else None,
                "epoch": seen.leadership.epoch if seen.leadership else None,
                **self._orders(seen.book.orders),
                "observation": seen.report,
                "intended": seen.book.intended,
                "caution": {
                    "avoided": {name: caution.avoided[name] for name in sorted(caution.avoided_at(seen.book.now))},
                    "not_before": caution.not_before,
                    "failed_boots": caution.failed_boots,
                    "why": caution.why,
                },
                "instances": [_instance(each, seen.book.now) for each in seen.instances],
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
            body = LimitsBody.model_validate_json(await read_body(request.scope, request.receive, MOST_BODY_BYTES))
        except ValidationError as error:
            raise of_validation(error) from error
        if body.budget_per_hour is not None and not self._limits.hourly_price:
            raise Problem(NO_PRICE, "a budget binds only where managers have WORKMANAGER_PRICE_PER_HOUR: set it first")
        if body.model_fields_set:
            await limit(self._link.service.shards.all[0], {name: getattr(body, name) for name in body.model_fields_set})
        return await self._answer_orders()

    async def _pause(self, request: Request, *, paused: bool) -> Response:
        NO_PARAMETERS.read(request.scope["query_string"])
        await pause(self._link.service.shards.all[0], paused=paused)
        return await self._answer_orders()

    async def _answer_orders(self) -> Response:
        book = await read_book(self._link.service.shards.all[0])
        return _json(self._orders(book.orders))

    def _orders(self, orders: Orders) -> dict[str, Any]:
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
        "leaving": worker.leaving if worker else "",
        "reason": instance.reason,
    }


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
