"""What a manager knows of its routes before anybody asks for the OpenAPI document, which takes 0.3 s to build."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Response
from fastapi.routing import APIRouter

from jobqueue.functions import FunctionRegistry
from manager.app import documented_methods, openapi_document
from manager.routes.documentation import DocumentationRoutes
from manager.settings import ManagerSettings


def _answer() -> Response:
    return Response()


def test_the_methods_of_paths_are_told_without_the_document_and_in_the_order_of_matching() -> None:
    jobs = APIRouter()
    jobs.add_api_route("/jobs/batch", _answer, methods=["POST"])
    jobs.add_api_route("/jobs/{job_id}", _answer, methods=["GET"])
    jobs.add_api_route("/jobs/{job_id}", _answer, methods=["DELETE"])
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(jobs)
    app.add_api_route("/hidden", _answer, include_in_schema=False)
    methods = documented_methods(app)
    assert list(methods.items()) == [("/jobs/batch", {"POST"}), ("/jobs/{job_id}", {"GET", "DELETE"})]
    assert list(methods) == list(app.openapi()["paths"])


async def test_the_document_is_built_when_it_is_first_asked_for_and_once() -> None:
    built = 0

    def build() -> dict[str, object]:
        nonlocal built
        built += 1
        return openapi_document(ManagerSettings(), functions)

    functions = FunctionRegistry.discover(())
    routes = DocumentationRoutes(build, functions)
    routes.router()
    assert built == 0
    first, second = await routes.show_document(), await routes.show_document()
    assert first.body == second.body
    assert built == 1


def test_generators_of_clients_are_told_how_wide_numbers_are() -> None:
    """They take 32 bits otherwise, and a float of 32 bits tells a time to a minute."""
    schemas = list(_schemas(openapi_document(ManagerSettings(), FunctionRegistry.discover(()))))
    assert {schema.get("format") for schema in schemas if schema.get("type") == "number"} == {"double"}
    integers = [schema for schema in schemas if schema.get("type") == "integer"]
    assert {schema["maximum"] < 2**31 for schema in integers if "format" not in schema} == {True}


def _schemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _schemas(item)
