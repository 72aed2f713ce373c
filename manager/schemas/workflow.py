"""Request and response bodies of the workflows' routes, and the check of a graph before anything is written."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.workflows import FINALLY
from jobqueue.model import ENDED, Dependency, Status
from manager.http.problems import INVALID, Problem
from manager.schemas.submission import EXCLUSIVE, ID_PATTERN, Submission, function_schema, given

MAX_JOBS = 5_000
MAX_EDGES = 50_000

LocalName = Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]


_NOT_OF_MEMBERS = ("id", "unique", "delay", "at")


class WorkflowJob(Submission):
    """A job of a workflow. `depends_on` has local names of other jobs, or ids of jobs outside of the workflow."""

    model_config = ConfigDict(json_schema_extra={"not": {"anyOf": [*EXCLUSIVE, *map(given, _NOT_OF_MEMBERS)]}})

    @model_validator(mode="after")
    def _check_membership(self) -> "WorkflowJob":
        for name in _NOT_OF_MEMBERS:
            if getattr(self, name) is not None:
                raise PydanticCustomError("exclusive", f"a job of a workflow has no '{name}'")
        return self

    @property
    def without_parents(self) -> Submission:
        """The job as its record is made: what it waits for has local names still."""
        return self if self.depends_on is None else self.model_copy(update={"depends_on": None})


# The checks of `_check_finally`, in the OpenAPI document's terms.
_NOT_OF_WORKFLOWS: list[Any] = [
    {"required": [FINALLY], "properties": {FINALLY: given("depends_on")}},
    {"required": ["jobs"], "properties": {"jobs": {"type": "object", "required": [FINALLY]}}},
]


class WorkflowBody(BaseModel):
    """A graph of jobs, by local names. With an own `id`, a repeat changes nothing."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"not": {"anyOf": _NOT_OF_WORKFLOWS}},
    )

    jobs: dict[LocalName, WorkflowJob] = Field(
        min_length=1,
        max_length=MAX_JOBS,
        # pydantic describes the names that match, and says nothing of others.
        json_schema_extra={"additionalProperties": False},
    )
    finally_: WorkflowJob | None = Field(
        default=None, alias=FINALLY, description="Runs when all others have ended, however they did"
    )
    id: str | None = Field(default=None, pattern=f"^{ID_PATTERN}$", description="Of the workflow")

    @model_validator(mode="after")
    def _check_finally(self) -> "WorkflowBody":
        if FINALLY in self.jobs:
            raise PydanticCustomError("reserved", f"'{FINALLY}' stands beside 'jobs', not in it")
        if self.finally_ is not None and self.finally_.depends_on is not None:
            raise PydanticCustomError("exclusive", f"'{FINALLY}' waits for all other jobs: it has no 'depends_on'")
        return self

    @property
    def members(self) -> Mapping[str, WorkflowJob]:
        """All jobs by local name, the one that runs at the end last."""
        return self.jobs if self.finally_ is None else {**self.jobs, FINALLY: self.finally_}


def edges_of(body: WorkflowBody) -> dict[str, tuple[Dependency, ...]]:
    """Return what each job waits for: local names, and ids of other jobs.

    Raises:
        Problem: 422, jobs wait for each other or for themselves, name a job twice, or there are too many edges.
    """
    edges: dict[str, tuple[Dependency, ...]] = {}
    for name, job in body.jobs.items():
        parents = job.dependencies
        if len({parent.parent_id for parent in parents}) < len(parents):
            raise _invalid(name, "names a job more than once")
        edges[name] = parents
    total = sum(map(len, edges.values()))
    if total > MAX_EDGES:
        message = f"the jobs have {total} dependencies, and at most {MAX_EDGES} are possible"
        raise Problem(INVALID, f"jobs: {message}", errors=[{"field": "jobs", "message": message}])
    cycle = _find_cycle({name: [each for each, _ in parents if each in edges] for name, parents in edges.items()})
    if cycle:
        raise _invalid(cycle[0], f"these jobs wait for each other: {' -> '.join(cycle)}")
    if body.finally_ is not None:
        edges[FINALLY] = tuple(Dependency(name, ENDED) for name in body.jobs)
    return edges


def _find_cycle(parents: Mapping[str, list[str]]) -> list[str]:
    """Return a cycle as a list that begins and ends with the same name; empty if there is none."""
    done: set[str] = set()
    for start in parents:
        path: dict[str, None] = {}
        steps = [(start, iter(parents[start]))] if start not in done else []
        path.update(dict.fromkeys(name for name, _ in steps))
        while steps:
            name, rest = steps[-1]
            parent = next(rest, None)
            if parent is None:
                steps.pop()
                path.pop(name)
                done.add(name)
            elif parent in path:
                names = list(path)
                return [*names[names.index(parent) :], parent]
            elif parent not in done:
                path[parent] = None
                steps.append((parent, iter(parents[parent])))
    return []


def _invalid(name: str, message: str) -> Problem:
    field = f"jobs.{name}.depends_on"
    return Problem(INVALID, f"{field}: {message}", errors=[{"field": field, "message": message}])


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewWorkflow(_Response):
    """A workflow that was submitted: the ids of its jobs by local name."""

    id: str
    jobs: dict[str, str]


class WorkflowDependency(_Response):
    """What a job waits for: `job` is a local name, or the id of a job outside of the workflow."""

    job: str
    when: Literal["finished", "ended"]


class WorkflowMember(_Response):
    """A job of a workflow. `status` is null if its record has been deleted or has expired."""

    id: str
    function: str
    queue: str
    status: Status | None
    depends_on: list[WorkflowDependency]


class WorkflowResponse(_Response):
    """A workflow. It is `failed` if a job failed or was stopped, else `canceled` if one was canceled."""

    id: str
    status: Literal["running", "finished", "failed", "canceled"]
    created_at: str
    counts: dict[str, int] = Field(description="Number of jobs in each status")
    jobs: dict[str, WorkflowMember]


class CanceledWorkflow(_Response):
    """How many jobs were canceled, and how many are being stopped by their workers."""

    id: str
    canceled: int
    stopping: int


class RetriedWorkflow(_Response):
    """How many jobs were requeued; those that come back with them are not counted."""

    id: str
    requeued: int


def overall_status(statuses: Mapping[str, str | None]) -> str:
    """Return the status of a workflow with jobs in these; one without a record counts as finished."""
    found = {Status(status) for status in statuses.values() if status is not None}
    if not all(status.ended for status in found):
        return "running"
    if found & {Status.FAILED, Status.STOPPED}:
        return "failed"
    return "canceled" if Status.CANCELED in found else "finished"


def workflow_schema(functions: FunctionRegistry) -> dict[str, Any]:
    """Return the JSON schema of a submitted workflow; the functions of its jobs must be registered."""
    document = WorkflowBody.model_json_schema(ref_template="#/components/schemas/{model}")
    document["$defs"]["WorkflowJob"]["properties"]["function"] = function_schema(functions)
    return document
