"""Reads what a job's record asks to call, and writes what the call returned.

RQ's `data` field is `[function path, instance, args, kwargs]`, zlib-compressed or not, as JSON or as a pickle.
"""

import base64
import importlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jobqueue.functions import BUILT_IN, FunctionRegistry
from jobqueue.rq_call import decompress, is_pickled, parse_json_call
from worker_node.ipc.protocol import MAX_RESULT_BYTES

PLACEHOLDER = "Unserializable return value"
"""What RQ stores in place of a result that its serializer cannot write."""

_STRICT_JSON = json.JSONEncoder(allow_nan=False)


class Rejected(Exception):
    """The job may not be run; the message says why. `function` names what it asked for, as far as that is known."""

    def __init__(self, message: str, function: str = "") -> None:
        super().__init__(message)
        self.function = function


class ResultError(Exception):
    """The job ran, but what it returned cannot be kept; the message says why."""


class DecodedCall(NamedTuple):
    """A call that is allowed, ready to be made. `pickled` says which serializer the record was read with."""

    function: str
    target: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    pickled: bool


class CallDecoder:
    """The calls that this worker may make: those to registered functions. What a path stands for is looked up once."""

    def __init__(self, functions: FunctionRegistry, *, allow_pickle: bool) -> None:
        self._functions = functions
        self._allow_pickle = allow_pickle
        self._targets: dict[str, tuple[str, Callable[..., Any]]] = {}

    def decode(self, data: bytes) -> DecodedCall:
        """The call that a record's `data` asks for.

        Raises:
            Rejected: the data cannot be read, or asks for what is not registered.
            Exception: whatever the import of the function's module raises.
        """
        path, instance, args, kwargs, pickled = self._decode(data)
        if instance is None:
            found = self._targets.get(path)
            if found is None:
                found = self._targets[path] = self._resolve(path)
            return DecodedCall(found[0], found[1], args, kwargs, pickled)
        name, target = self._bound(instance, path)
        return DecodedCall(name, target, args, kwargs, pickled)

    def requested_function(self, data: bytes) -> str:
        """What a record asks for, for a job that is not going to be run; '' where it cannot be read."""
        try:
            path = self._decode(data)[0]
        except Rejected:
            return ""
        return self._functions.name_of(path) or path

    def _decode(self, data: bytes) -> tuple[str, Any, Sequence[Any], Mapping[str, Any], bool]:
        try:
            data = decompress(data)
        except ValueError:
            raise Rejected("the job's data is neither JSON nor a pickle") from None
        pickled = is_pickled(data)
        if pickled and not self._allow_pickle:
            raise Rejected(
                "the job is pickled, and this worker runs no pickled jobs: enqueue it with rq's JSONSerializer, "
                "or set WORKMANAGER_ALLOW_PICKLE where every client is trusted"
            )
        try:
            record = pickle.loads(data) if pickled else parse_json_call(data)
            path, instance, args, kwargs = record
        except Exception as error:  # A pickle may raise whatever its classes raise.
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
            # What a module merely imported (`os.system`) is not its own, unless its source defines that name.
            its_own = getattr(target, "__module__", None) == module or path in self._functions.paths.values()
            if target is None or not its_own or (position < len(steps) - 1 and not isinstance(target, type)):
                raise Rejected(f"the module {module!r} defines no function {'.'.join(steps)!r}", path)
        if not callable(target):
            raise Rejected(f"{path!r} is not a function", path)
        return name, target

    def _bound(self, instance: Any, method: str) -> tuple[str, Callable[..., Any]]:
        kind = type(instance)
        path = f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ not in self._functions.modules:
            raise Rejected(f"the class {path!r} is not in a registered module (WORKMANAGER_FUNCTIONS)", path)
        target = None if method.startswith("_") and method != "__call__" else getattr(instance, method, None)
        if not callable(target):
            raise Rejected(f"the class {path!r} has no public method {method!r}", path)
        return f"{path}.{method}", target


def encode_result(value: Any, *, pickled: bool, from_http: bool) -> bytes:
    """A result as it is stored: serialised as the job's record is, in base64.

    Results of HTTP jobs are strict JSON. Those of stock jobs become RQ's placeholder where they cannot be serialised.

    Raises:
        ResultError: an HTTP job's result is not JSON, or a result is larger than 1 MiB.
    """
    try:
        serialised = _serialise(value, pickled=pickled, strict=from_http)
    except Exception as error:  # Serializers call the value's own code.
        if from_http:
            raise ResultError(f"the result cannot be written as JSON: {type(error).__name__}: {error}") from error
        serialised = _serialise(PLACEHOLDER, pickled=pickled, strict=False)
    if len(serialised) > MAX_RESULT_BYTES:
        raise ResultError(f"the result has {len(serialised)} bytes, at most {MAX_RESULT_BYTES} are kept")
    return base64.b64encode(serialised)


def _serialise(value: Any, *, pickled: bool, strict: bool) -> bytes:
    if pickled:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return (_STRICT_JSON.encode(value) if strict else json.dumps(value)).encode()
