"""The schema of a submission agrees with the Python client and the job functions."""

from typing import get_args, get_type_hints

from jobqueue.functions import FunctionRegistry
from manager.routes.enqueue import MAX_ITERATIONS
from manager.schemas.submission import RetryPolicy, Submission, UniqueKey, submission_schema
from worker_node import functions
from workmanager.http import submission as client


def test_the_client_knows_the_same_fields_as_the_manager() -> None:
    assert get_type_hints(client.Submission).keys() == Submission.model_fields.keys()
    assert get_type_hints(client.RetryOptions).keys() == RetryPolicy.model_fields.keys()
    assert get_type_hints(client.UniqueOptions).keys() == UniqueKey.model_fields.keys()


def test_the_client_knows_the_orders_of_the_openapi_document() -> None:
    properties = submission_schema(FunctionRegistry.discover(()))["properties"]
    assert list(get_args(get_type_hints(client.JobOptions)["order"])) == properties["order"]["enum"]


def test_enqueue_and_the_job_function_have_the_same_limit_of_iterations() -> None:
    assert MAX_ITERATIONS == functions.MAX_ITERATIONS
