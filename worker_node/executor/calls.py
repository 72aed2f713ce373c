"""Decoding of a job's record into the function call that it asks for, if this worker allows that call."""

import importlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jobqueue.functions import BUILT_IN, FunctionRegistry
from jobqueue.rq_call import decompress, is_pickled, parse_json_call


class Rejected(Exception):
    """The job must not run; the message says why.

    Attributes:
        function: name of the function that the job asked for; '' if it is not known.
    """

    def __init__(self, message: str, function: str = "") -> None:
        super().__init__(message)
        self.function = function


class DecodedCall(NamedTuple):
    """A call of a registered function, ready to be made.

    Attributes:
        function: its public name.
        pickled: whether the record was a pickle, not JSON.
    """

    function: str
    target: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    pickled: bool


class CallDecoder:
    """Decodes calls of registered functions. Resolves each path once and remembers the function."""

    def __init__(self, functions: FunctionRegistry, *, allow_pickle: bool) -> None:
        self._functions = functions
        self._allow_pickle = allow_pickle
        self._targets: dict[str, tuple[str, Callable[..., Any]]] = {}

    def decode(self, data: bytes) -> DecodedCall:
        """Return the call that a record's `data` asks for.

        Raises:
            Rejected: the data cannot be read, or the function is not registered.
            Exception: anything that the import of the function's module raises.
        """
        path, instance, args, kwargs, pickled = self._parse(data)
        if instance is None:
            found = self._targets.get(path)
            if found is None:
                found = self._targets[path] = self._resolve(path)
            return DecodedCall(found[0], found[1], args, kwargs, pickled)
        name, target = self._resolve_method(instance, path)
        return DecodedCall(name, target, args, kwargs, pickled)

    def requested_function(self, data: bytes) -> str:
        """Return the name of the function that a record asks for, allowed or not; '' if the record cannot be read."""
        try:
            path = self._parse(data)[0]
        except Rejected:
            return ""
        return self._functions.name_of(path) or path

    def _parse(self, data: bytes) -> tuple[str, Any, Sequence[Any], Mapping[str, Any], bool]:
        pickled = False
        if data[:1] != b"[":  # Most records are plain JSON: spare them these calls.
            try:
                data = decompress(data)
            except ValueError:
                raise Rejected("the job's data is neither JSON nor a pickle") from None
            pickled = is_pickled(data)
        if pickled and not self._allow_pickle:
            raise Rejected(
                "the job is pickled, and this worker runs no pickled jobs: enqueue it with rq's JSONSerializer, "
                "or set WORKMANAGER_ALLOW_PICKLE=true if you trust every client that can write to Redis"
            )
        try:
            record = pickle.loads(data) if pickled else parse_json_call(data)
            path, instance, args, kwargs = record
        except Exception as error:  # A pickle can raise anything that its classes raise.
            raise Rejected(f"the job's data cannot be read: {type(error).__name__}: {error}") from error
        if not (isinstance(path, str) and isinstance(args, (list, tuple)) and isinstance(kwargs, dict)):
            raise Rejected("the job's data is not [function, instance, args, kwargs]")
        return path, instance, args, kwargs, pickled

    def _resolve(self, path: str) -> tuple[str, Callable[..., Any]]:
        name = self._functions.name_of(path)
        if name is None:
            raise Rejected(f"the function {path!r} is not registered on this worker (WORKMANAGER_FUNCTIONS)", path)
        module = path.rpartition(".")[0] if name in BUILT_IN else self._functions.module_of(path)
        target: Any = importlib.import_module(module or "")
        steps = path[len(module or "") + 1 :].split(".")
        for position, step in enumerate(steps):
            target = getattr(target, step, None)
            # A name that the module merely imported (`os.system`) is not its own, unless its source defines that name.
            its_own = getattr(target, "__module__", None) == module or path in self._functions.paths.values()
            if target is None or not its_own or (position < len(steps) - 1 and not isinstance(target, type)):
                raise Rejected(f"the module {module!r} defines no function {'.'.join(steps)!r}", path)
        if not callable(target):
            raise Rejected(f"{path!r} is not a function", path)
        return name, target

    def _resolve_method(self, instance: Any, method: str) -> tuple[str, Callable[..., Any]]:
        kind = type(instance)
        path = f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ not in self._functions.modules:
            raise Rejected(f"the class {path!r} is not in a registered module (WORKMANAGER_FUNCTIONS)", path)
        target = None if method.startswith("_") and method != "__call__" else getattr(instance, method, None)
        if not callable(target):
            raise Rejected(f"the class {path!r} has no public method {method!r}", path)
        return f"{path}.{method}", target
