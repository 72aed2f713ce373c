"""`/keys`: create, list, roll, limit and revoke the API keys in Redis."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from manager.api_keys.limits import NO_LIMITS
from manager.api_keys.record import KeyRecord, new_key
from manager.api_keys.store import MAX_KEYS, KeyChange, delete_key, read_keys, save_key
from manager.api_keys.table import KeyTable
from manager.http.asgi import read_json, read_optional_json
from manager.http.authentication import author_of, caller_of
from manager.http.json_response import json_response
from manager.http.problems import (
    KEY_EXPIRED,
    KEYS_NOT_ASKED_FOR,
    NO_SUCH_KEY,
    TOO_MANY_KEYS,
    UNAVAILABLE,
    Problem,
    validation_problem,
)
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.schemas.keys import CreatedKey, KeyBody, KeyLimitsBody, KeyList, KeyResponse, RollBody, key_document
from manager.schemas.openapi import KEY_ID, problem_responses, request_body, schema_reference

MAX_BODY_BYTES = 4096
MAX_TRIES = 5
"""Of a change that others make at the same time."""

Body = TypeVar("Body", bound=BaseModel)
log = logging.getLogger(__name__)


class KeyRoutes:
    """Handlers of the keys' routes.

    Args:
        table: the keys that this manager knows; it is read again after each change.
        asks_for_keys: whether this manager has keys in its settings. If not, it lets everybody in, whatever is stored.
    """

    def __init__(self, queue: QueueConnection, table: KeyTable, *, asks_for_keys: bool) -> None:
        self._queue = queue
        self._table = table
        self._asks_for_keys = asks_for_keys

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["keys"])
        router.add_api_route(
            "/keys",
            self.create,
            methods=["POST"],
            status_code=201,
            response_model=CreatedKey,
            responses=problem_responses(400, 409, 413, 415, 422, 503),
            openapi_extra={"requestBody": request_body("application/json", schema_reference("KeyBody"))},
        )
        router.add_api_route("/keys", self.list, response_model=KeyList, responses=problem_responses(400, 503))
        router.add_api_route(
            "/keys/{key_id}/roll",
            self.roll,
            methods=["POST"],
            response_model=CreatedKey,
            responses=problem_responses(400, 404, 409, 413, 415, 422, 503),
            openapi_extra={
                "parameters": [KEY_ID],
                "requestBody": request_body("application/json", schema_reference("RollBody"), required=False),
            },
        )
        router.add_api_route(
            "/keys/{key_id}/limits",
            self.limit,
            methods=["PUT"],
            response_model=KeyResponse,
            responses=problem_responses(400, 404, 409, 413, 415, 422, 503),
            openapi_extra={
                "parameters": [KEY_ID],
                "requestBody": request_body("application/json", schema_reference("KeyLimitsBody")),
            },
        )
        router.add_api_route(
            "/keys/{key_id}",
            self.revoke,
            methods=["DELETE"],
            status_code=204,
            response_class=Response,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [KEY_ID]},
        )
        return router

    async def create(self, request: Request) -> Response:
        """Create a key. The answer alone has its text: only a hash of it is stored."""
        body = await _read(request, KeyBody)
        if not self._asks_for_keys:
            raise Problem(
                KEYS_NOT_ASKED_FOR,
                "this manager lets everybody in: set WORKMANAGER_API_KEYS on all managers before you create keys",
            )
        by = caller_of(request.scope).key_id
        now = (await read_keys(self._shard)).now
        limits = body.limits.changed(NO_LIMITS)
        record, text = new_key(sorted(set(body.scopes)), body.queues, by, body.expires, now, limits)
        change = KeyChange(author_of(request.scope), "api_key_created", None, _noted(record, now))
        if await self._save(record, None, change) != "saved":
            # An id of 32 random bits that another key has is next to impossible.
            raise Problem(UNAVAILABLE, "the id is taken: try again", headers={"Retry-After": "1"})
        log.info(
            "event=api_key_created key=%s scopes=%s queues=%s by=%s",
            *(record.id, ",".join(record.scopes), ",".join(record.queues) or "*", by),
        )
        return json_response(key_document(record, now) | {"key": text}, 201)

    async def list(self, request: Request) -> Response:
        """List the keys in Redis, without their secrets. Those of WORKMANAGER_API_KEYS are not among them."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        stored = await read_keys(self._shard)
        return json_response({"keys": [key_document(record, stored.now) for record in stored.records()]})

    async def roll(self, request: Request) -> Response:
        """Give a key a new secret. The one before stays valid for the overlap."""
        body = await _read(request, RollBody, required=False)
        new_text = ""

        def roll(record: KeyRecord, now: float) -> KeyRecord:
            nonlocal new_text
            rolled, new_text = record.roll(body.overlap, now)
            return rolled

        rolled, now = await self._change(request, "api_key_rolled", roll)
        by = caller_of(request.scope).key_id
        log.info("event=api_key_rolled key=%s overlap_seconds=%d by=%s", rolled.id, body.overlap, by)
        return json_response(key_document(rolled, now) | {"key": new_text})

    async def limit(self, request: Request) -> Response:
        """Change the limits of a key. They hold at all managers about a second later."""
        body = await _read(request, KeyLimitsBody)
        limited, now = await self._change(
            request, "api_key_limited", lambda record, _: replace(record, limits=body.changed(record.limits))
        )
        shown = " ".join(f"{name}={value:.12g}" for name, value in limited.limits.given().items())
        log.info("event=api_key_limited key=%s by=%s %s", limited.id, caller_of(request.scope).key_id, shown)
        return json_response(key_document(limited, now))

    async def revoke(self, request: Request) -> Response:
        """Revoke a key. Within five seconds no manager accepts it."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        key_id = str(request.path_params["key_id"])
        for _ in range(MAX_TRIES):
            stored = await read_keys(self._shard)
            text = stored.texts.get(key_id)
            if text is None:
                raise _no_such_key(key_id)
            before = None
            with contextlib.suppress(ValueError):
                before = _noted(KeyRecord.from_json(key_id, text), stored.now)
            change = KeyChange(author_of(request.scope), "api_key_revoked", before)
            if await delete_key(self._shard, key_id, text, change) == "saved":
                await self._refresh()
                log.info("event=api_key_revoked key=%s by=%s", key_id, change.author.actor)
                return Response(status_code=204)
        raise _changed_meanwhile()

    @property
    def _shard(self) -> Shard:
        return self._queue.service.shards.all[0]

    async def _change(
        self, request: Request, action: str, change: Callable[[KeyRecord, float], KeyRecord]
    ) -> tuple[KeyRecord, float]:
        """Replace the record of the path's key; return the new one, and Redis' time."""
        key_id = str(request.path_params["key_id"])
        for _ in range(MAX_TRIES):
            stored = await read_keys(self._shard)
            text = stored.texts.get(key_id)
            if text is None:
                raise _no_such_key(key_id)
            record = _parse(key_id, text)
            if record.is_expired(stored.now):
                raise Problem(KEY_EXPIRED, f"API key {key_id} has expired: create another one", id=key_id)
            changed = change(record, stored.now)
            before, after = _noted(record, stored.now), _noted(changed, stored.now)
            if await self._save(changed, text, KeyChange(author_of(request.scope), action, before, after)) == "saved":
                return changed, stored.now
        raise _changed_meanwhile()

    async def _save(self, record: KeyRecord, replaced: bytes | None, change: KeyChange) -> str:
        answer = await save_key(self._shard, record, replaced, change)
        if answer == "full":
            raise Problem(TOO_MANY_KEYS, f"there are {MAX_KEYS} API keys: revoke some that are not used any more")
        await self._refresh()
        return answer

    async def _refresh(self) -> None:
        # The change is stored. If it cannot be read now, the table reads it a second later.
        with contextlib.suppress(JobQueueError):
            await self._table.refresh()


async def _read(request: Request, model: type[Body], *, required: bool = True) -> Body:
    NO_PARAMETERS.parse(request.scope["query_string"])
    read = read_json if required else read_optional_json
    try:
        return model.model_validate_json(await read(request.scope, request.receive, MAX_BODY_BYTES))
    except ValidationError as error:
        raise validation_problem(error) from error


def _parse(key_id: str, text: bytes) -> KeyRecord:
    try:
        return KeyRecord.from_json(key_id, text)
    except ValueError as error:
        raise Problem(NO_SUCH_KEY, f"{error}: revoke it, and create another one", id=key_id) from error


def _noted(record: KeyRecord, now: float) -> dict[str, Any]:
    """Return what the audit stream notes of a key: of its secrets how long each is valid, and nothing else."""
    return {
        "scopes": record.scopes,
        "queues": record.queues,
        "expires_at": record.expires_at,
        "limits": record.limits.given(),
        "secrets_until": [secret.until for secret in record.valid_secrets(now)],
    }


def _changed_meanwhile() -> Problem:
    return Problem(UNAVAILABLE, "others change this key at the same time: try again", headers={"Retry-After": "1"})


def _no_such_key(key_id: str) -> Problem:
    return Problem(NO_SUCH_KEY, f"there is no API key with the id {key_id[:80]!r}")
