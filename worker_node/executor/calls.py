"""Decoding of a job's record into the function call that it asks for, if this worker allows that call."""

import importlib
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jobqueue.functions import BUILT_IN, FunctionRegistry, source_hash
from jobqueue.rq_call import decompress, is_pickled, parse_json_call, requested_function
from worker_node.executor.failures import text_of
from worker_node.ipc.protocol import MAX_NAME_CHARS


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
        version: hash of the source that the function was imported from; '' for a built-in one.
    """

    function: str
    target: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    pickled: bool
    version: str


class CallDecoder:
    """Decodes calls of registered functions. Resolves each path once and remembers the function."""

    def __init__(self, functions: FunctionRegistry, *, allow_pickle: bool) -> None:
        self._functions = functions
        self._allow_pickle = allow_pickle
        self._targets: dict[str, tuple[str, Callable[..., Any], str]] = {}
        self._versions: dict[str, str] = {}

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
            return DecodedCall(found[0], found[1], args, kwargs, pickled, found[2])
        if not pickled:
            # In the name that the agent reads in the record: another one would be a forged report.
            raise Rejected(
                f"the job calls a method of {type(instance).__name__!r}, a value in JSON, and only methods of "
                "registered classes run: enqueue a function of a module, or pickle the instance",
                self._functions.name_of(path) or path,
            )
        name, target = self._resolve_method(instance, path)
        return DecodedCall(name, target, args, kwargs, pickled, self._version_of(type(instance).__module__))

    def decode_resolved(self, data: bytes) -> DecodedCall | None:
        """As `decode`, but runs no code of anybody: return None for other data than plain JSON, for a function that was
        not called before, and for what `decode` rejects."""
        if data[:1] != b"[":
            return None
        try:
            path, instance, args, kwargs, pickled = self._parse(data)
        except Rejected:
            return None
        found = self._targets.get(path)
        if found is None or instance is not None:
            return None
        return DecodedCall(found[0], found[1], args, kwargs, pickled, found[2])

    def callback(self, path: str, role: str, function: str) -> Callable[..., Any]:
        """Return a function that a plain RQ client wants to be called at its job's end.

        Args:
            role: `on_success`, `on_failure` or `on_stopped`, for the message.
            function: name of the job's function.

        Raises:
            Rejected: it is not registered.
            Exception: anything that the import of its module raises.
        """
        found = self._targets.get(path)
        try:
            if found is None:
                found = self._targets[path] = self._resolve(path)
        except Rejected as error:
            raise Rejected(f"its {role} callback cannot be called: {error}", function) from None
        return found[1]

    def requested_function(self, data: bytes) -> str:
        """Return the name of the function that a record asks for, allowed or not; '' if the record cannot be read."""
        try:
            path = self._parse(data)[0]
        except Exception:  # noqa: BLE001 - a pickle runs code of its own
            return ""
        return self._functions.name_of(path) or path

    def named_function(self, data: bytes) -> str:
        """As `requested_function`, without reading pickles: ''."""
        return requested_function(data, self._functions)

    def _parse(self, data: bytes) -> tuple[str, Any, Sequence[Any], Mapping[str, Any], bool]:
        pickled = False
        if data[:1] != b"[":  # Most records are plain JSON: spare them these calls.
            try:
                data = decompress(data)
            except ValueError:
                raise Rejected(
                    "the job's data is neither JSON nor a pickle: enqueue it with rq's JSONSerializer"
                ) from None
            pickled = is_pickled(data)
        if pickled and not self._allow_pickle:
            raise Rejected(
                "the job is pickled, and this worker runs no pickled jobs: enqueue it with rq's JSONSerializer, "
                "or set WORKMANAGER_ALLOW_PICKLE=true if you trust every client that can write to Redis"
            )
        try:
            record = pickle.loads(data) if pickled else parse_json_call(data)  # nosec B301  # if the operator allows it
            path, instance, args, kwargs = record
        except Exception as error:  # A pickle can raise anything that its classes raise.
            raise Rejected(f"the job's data cannot be read: {text_of(error)}") from error
        if not (isinstance(path, str) and isinstance(args, (list, tuple)) and isinstance(kwargs, dict)):
            raise Rejected("the job's data is not [function, instance, args, kwargs]")
        return path, instance, args, kwargs, pickled

    def _resolve(self, path: str) -> tuple[str, Callable[..., Any], str]:
        name = self._functions.name_of(path)
        if name is None:
            raise Rejected(
                f"the function {_shortened(path)} is not registered on this worker: name its module in "
                "WORKMANAGER_FUNCTIONS, on managers and workers",
                path,
            )
        unreadable = self._functions.why_unreadable(path)
        if unreadable is not None:
            raise Rejected(f"{path!r} cannot run: {unreadable} (WORKMANAGER_FUNCTIONS of this worker)", path)
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
        return name, target, "" if name in BUILT_IN else self._version_of(module or "")

    def _version_of(self, module: str) -> str:
        # Read once, right after the import: later, the file may be another version than what runs.
        version = self._versions.get(module)
        if version is None:
            source = getattr(sys.modules.get(module), "__file__", None)
            version = self._versions[module] = source_hash(Path(source)) if isinstance(source, str) else ""
        return version

    def _resolve_method(self, instance: Any, method: str) -> tuple[str, Callable[..., Any]]:
        kind = type(instance)
        path = f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ not in self._functions.modules:
            raise Rejected(
                f"the class {path!r} is not in a registered module: name its module in WORKMANAGER_FUNCTIONS", path
            )
        is_public = method == "__call__" or (method.isidentifier() and not method.startswith("_"))
        target = getattr(instance, method, None) if is_public else None
        if not callable(target):
            raise Rejected(f"the class {path!r} has no public method {_shortened(method)}", path)
        return f"{path}.{method}", target


def _shortened(name: str) -> str:
    """Return a name from a record for a message; it can be anything."""
    return repr(name if len(name) <= MAX_NAME_CHARS else name[:MAX_NAME_CHARS] + "…")
