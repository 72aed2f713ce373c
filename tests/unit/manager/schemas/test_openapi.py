"""What a manager knows of its routes before anybody asks for the OpenAPI document, which takes 0.3 s to build."""

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
