"""The schema of a submission agrees with the Python client and the job functions."""

from typing import get_args, get_type_hints

from jobqueue.callbacks.entry import EVENTS
from jobqueue.functions import FunctionRegistry
from manager.queue.long_poll import MAX_WAIT_SECONDS
from manager.schemas.submission import (
    CallbackEvent,
    CallbackOptions,
    RetryPolicy,
    Submission,
    UniqueKey,
    submission_schema,
)
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
    assert (list(get_args(orders)), none) == (properties["order"]["enum"], type(None))


def test_the_client_waits_as_long_as_a_manager_allows() -> None:
    assert job_methods.MAX_WAIT_SECONDS == MAX_WAIT_SECONDS
