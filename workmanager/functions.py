"""Functions of one's own as jobs: a decorator that gives a function its `submit`, checked by type checkers.

    @job_function(queue="texts", timeout=60, retry={"max": 3})
    def most_common(text: str, count: int = 3) -> dict[str, int]: ...

    with Client(["http://127.0.0.1:5000", "http://127.0.0.1:5001"]) as client:
        job = most_common.submit(client, "to be or not to be", count=2)
        print(job.result())

Managers and workers treat a decorated function like any other: its module must be registered. Importing this module
needs neither httpx nor a manager, so that it costs workers nothing.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from workmanager.errors import UsageError

if TYPE_CHECKING:
    from workmanager.aio import AsyncClient, AsyncJobHandle
    from workmanager.client import Client, JobHandle
    from workmanager.http.submission import CallOptions, Submission

P = ParamSpec("P")
R = TypeVar("R")


class Calls(Generic[P]):
    """Jobs that call one function, with the same options.

    Args:
        function: of the top level of a registered module. It is never called here.
        options: of each job; those that are not given have the managers' defaults.
    """

    def __init__(self, function: Callable[P, Any], options: "CallOptions") -> None:
        self._function = function
        self._options = options

    @overload
    def submit(self, client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> "JobHandle": ...
    @overload
    def submit(
        self, client: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs
    ) -> "Coroutine[Any, Any, AsyncJobHandle]": ...
    def submit(self, client: "Client | AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Submit a job that calls the function with these arguments, which must be JSON values, and return its handle.

        Of a function that is marked binary, the keyword argument `data` takes bytes. With an `AsyncClient`, await it.

        Raises:
            ClientError: the job was refused.
            UsageError: workers cannot import the function, or an argument cannot be written as JSON.
        """
        fields: Any = self.submission(*args, **kwargs)
        submitted = client.submit(fields.pop("function"), **fields)
        return client.handle(submitted) if isinstance(submitted, str) else _handle_later(client, submitted)

    def submission(self, *args: P.args, **kwargs: P.kwargs) -> "Submission":
        """Return such a job without submitting it, for `submit_many`.

        Raises:
            UsageError: workers cannot import the function.
        """
        job: Any = {"function": function_name(self._function), **self._options, **call_fields(args, kwargs)}
        return cast("Submission", job)

    def options(self, **options: "Unpack[CallOptions]") -> "Calls[P]":
        """Return what submits jobs with these options, and with the others as they are."""
        return Calls(self._function, {**self._options, **options})


class JobFunction(Calls[P], Generic[P, R]):
    """What type checkers know of a decorated function. It is the function itself, with the methods as attributes."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here, without a job."""
        raise NotImplementedError


def job_function(**options: "Unpack[CallOptions]") -> Callable[[Callable[P, R]], JobFunction[P, R]]:
    """Decorate a function of one's own: give it `submit`, `submission` and `options`; leave it as it is otherwise.

    Args:
        options: of all its jobs, such as `queue`, `timeout` and `retry`. `options` of the function changes some.
    """

    def decorate(function: Callable[P, R]) -> JobFunction[P, R]:
        calls = Calls(function, options)
        vars(function).update(submit=calls.submit, submission=calls.submission, options=calls.options)
        return cast(JobFunction[P, R], function)

    return decorate


def function_name(function: Callable[..., Any]) -> str:
    """Return the name under which workers know a function.

    Raises:
        UsageError: they cannot import it.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or module == "__main__" or not name.isidentifier():
        raise UsageError(
            f"workers cannot import {function!r}: give a function of the top level of a module that"
            " WORKMANAGER_FUNCTIONS names, and not of the program itself"
        )
    return f"{module}.{name}"


def call_fields(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a job that calls a function with these arguments; bytes go as `data`, without base64."""
    data = kwargs.get("data")
    if not isinstance(data, bytes | bytearray | memoryview):
        return {"args": args, "kwargs": kwargs}
    return {"args": args, "kwargs": {name: kwargs[name] for name in kwargs if name != "data"}, "data": data}


async def _handle_later(client: Any, submitted: Coroutine[Any, Any, str]) -> Any:
    return client.handle(await submitted)
