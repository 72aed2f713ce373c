"""The schema of a submission agrees with the Python client and the job functions."""

from typing import Any, get_args, get_type_hints

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from jobqueue.callbacks.entry import EVENTS
from jobqueue.functions import FunctionRegistry
from manager.queue.long_poll import MAX_WAIT_SECONDS
from manager.schemas.keys import KeyBody, RollBody
from manager.schemas.operations import OperationBody
from manager.schemas.schedule_body import CatchUpBody, PauseBody, ScheduleBody
from manager.schemas.submission import (
    CallbackEvent,
    CallbackOptions,
    DependsOn,
    RetryPolicy,
    Submission,
    UniqueKey,
    submission_schema,
)
from manager.schemas.wait import WaitBody
from workmanager.commands.job_options import CALLBACK_EVENTS
from workmanager.http import job_methods
from workmanager.http import submission as client


def test_the_client_knows_the_same_fields_as_the_manager() -> None:
    assert get_type_hints(client.Submission).keys() == Submission.model_fields.keys()
    assert get_type_hints(client.RetryOptions).keys() == RetryPolicy.model_fields.keys()
    assert get_type_hints(client.UniqueOptions).keys() == UniqueKey.model_fields.keys()
    assert get_type_hints(client.CallbackOptions).keys() == CallbackOptions.model_fields.keys()
    assert get_args(get_type_hints(client.CallbackOptions)["events"])[0] == CallbackEvent
    assert get_args(CallbackEvent) == EVENTS == CALLBACK_EVENTS


def test_the_client_knows_the_orders_of_the_openapi_document() -> None:
    properties = submission_schema(FunctionRegistry.discover(()))["properties"]
    orders, none = get_args(get_type_hints(client.JobOptions)["order"])
    assert (list(get_args(orders)), none) == (properties["order"]["anyOf"][0]["enum"], type(None))


def test_the_client_waits_as_long_as_a_manager_allows() -> None:
    assert job_methods.MAX_WAIT_SECONDS == MAX_WAIT_SECONDS


BODIES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (Submission, {"function": "noop"}),
    (RetryPolicy, {"max": 1}),
    (DependsOn, {"id": "a"}),
    (CallbackOptions, {"url": "https://example.com"}),
    (ScheduleBody, {"every": 60, "job": {"function": "noop"}}),
    (CatchUpBody, {}),
    (PauseBody, {}),
    (KeyBody, {"scopes": ["jobs:read"]}),
    (RollBody, {}),
    (OperationBody, {"action": "cancel", "filter": {"queue": "a"}}),
    (WaitBody, {"ids": ["a"]}),
]


@pytest.mark.parametrize(("model", "required"), BODIES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_null_is_the_same_as_a_field_that_is_left_out(model: type[BaseModel], required: dict[str, Any]) -> None:
    without = model.model_validate_json(orjson.dumps(required))
    nulls = dict.fromkeys(model.model_fields.keys() - required.keys())
    assert model.model_validate_json(orjson.dumps(required | nulls)) == without


def test_an_empty_list_of_parents_or_limits_is_the_same_as_none() -> None:
    body = Submission.model_validate_json('{"function": "noop", "depends_on": [], "limits": [], "delay": 1}')
    assert body == Submission(function="noop", delay=1)


@pytest.mark.parametrize(
    ("parent", "field"), [('{"id": "a", "when": "later"}', "when"), ('"a:b"', "id"), ('{"id": ""}', "id")]
)
def test_a_wrong_parent_is_named_by_its_field(parent: str, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Submission.model_validate_json(f'{{"function": "noop", "depends_on": [{parent}]}}')
    assert [error["loc"] for error in refused.value.errors()] == [("depends_on", 0, field)]


def test_an_interval_may_name_the_time_zone_that_it_has() -> None:
    text = '{"every": 60, "timezone": "%s", "job": {"function": "noop"}}'
    assert ScheduleBody.model_validate_json(text % "UTC").every == 60
    with pytest.raises(ValidationError, match="'timezone' is for 'cron'"):
        ScheduleBody.model_validate_json(text % "Europe/Berlin")
