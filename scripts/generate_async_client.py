"""Write the asyncio client, `workmanager/aio/`, from the client's own source: ./scripts/dev.sh async

Each module of the client becomes one of the same name, in which what waits for a manager is a coroutine or an async
iterator. What waits for nothing is imported from the client's module. So both clients have the same methods, and no
line is written twice. The other way round, the commands would need asyncio for each request.
"""

import ast
import builtins
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "workmanager/aio"
HTTP_MODULES = (
    *("transport", "callbacks", "operations", "schedules", "system", "job_events", "handles"),
    *("job_methods", "workflow_methods", "administration_methods"),
)
SOURCES = {f"workmanager.http.{name}": name for name in HTTP_MODULES} | {"workmanager.client": "client"}
CONNECTIONS = ("workmanager.http.connections", "workmanager.http.async_connections")
"""What connects, and asyncio's: they are written by hand, and have classes with the same methods."""
CONNECTION_CLASSES = {"Connections": "AsyncConnections", "SyncAnswer": "AsyncAnswer"}
CONNECTION_METHODS = {"close": "coroutine", "iter_lines": "iterator", "send": "coroutine"}
CONNECTION_OBJECTS = {"self._http", "answer"}
OURS = {"self", "self._transport", "self._jobs", "jobs", "transport", "handles.popleft()"}
"""Objects of the client whose methods may wait."""
STREAMS = {"lines"}
"""Parameters that are async iterators in the asyncio client."""
COROUTINE, ITERATOR, RETURNS_ITERATOR, CONTEXT = "coroutine", "iterator", "returns an iterator", "context"
HEADER = '"""{}"""\n\n# Made of {} by scripts/generate_async_client.py. Do not edit.\n\n'
TEXTS = {
    "Thread-safe.": "For one event loop.",
    "JobHandle(": "AsyncJobHandle(",
    "SyncAnswer": "AsyncAnswer",
    "The ids may come from a generator: it is asked for more as jobs end, of which": (
        "The ids are taken as jobs end, of which"
    ),
}
Function = ast.FunctionDef


def main() -> None:
    """Write all modules into the package, or into the directory that is given."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    output.mkdir(parents=True, exist_ok=True)
    modules = {module: ast.parse(_path(module).read_text()) for module in SOURCES}
    kinds = _kinds(modules)
    renamed = {
        node.name: f"Async{node.name}"
        for tree in modules.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(function.name in kinds for function in _methods(node))
    }
    renamed |= CONNECTION_CLASSES
    for module, tree in modules.items():
        text = _module(module, tree, kinds, renamed)
        (output / f"{SOURCES[module]}.py").write_text(text)
    (output / "__init__.py").write_text(PACKAGE)
    for command in (["check", "--quiet", "--fix", "--select", "F401,I,UP034"], ["format", "--quiet"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", ROOT / "pyproject.toml", output], check=True
        )


def _path(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    return (item for item in node.body if isinstance(item, Function))


def _functions(tree: ast.Module) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, Function):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _methods(node)


def _kinds(modules: Mapping[str, ast.Module]) -> dict[str, str]:
    """Return what becomes of the functions that wait, and of those that call them, by name."""
    kinds = {"read_events": ITERATOR}
    while True:
        found = {
            function.name: kind
            for tree in modules.values()
            for function in _functions(tree)
            if (kind := _kind(function, kinds)) is not None
        }
        if not found.keys() - kinds.keys():
            return kinds
        kinds = found | kinds


def _kind(function: Function, kinds: Mapping[str, str]) -> str | None:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    iterated = {
        id(node.iter if isinstance(node, ast.For | ast.comprehension) else node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.For | ast.comprehension | ast.YieldFrom)
    }
    waits = any(
        (kind := _call_kind(call, kinds)) in (COROUTINE, CONTEXT) or (kind == ITERATOR and id(call) in iterated)
        for call in calls
    )
    if waits:
        if any(ast.unparse(decorator) == "contextmanager" for decorator in function.decorator_list):
            return CONTEXT
        return (
            ITERATOR if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function)) else COROUTINE
        )
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    if any(
        isinstance(value, ast.Call) and _call_kind(value, kinds) in (ITERATOR, RETURNS_ITERATOR) for value in returned
    ):
        return RETURNS_ITERATOR
    return None


def _call_kind(call: ast.Call, kinds: Mapping[str, str]) -> str | None:
    """Return what a call becomes; None if it waits for nothing."""
    if isinstance(call.func, ast.Name):
        return None if call.func.id in dir(builtins) else kinds.get(call.func.id)
    if not isinstance(call.func, ast.Attribute):
        return None
    receiver, name = ast.unparse(call.func.value), call.func.attr
    if (receiver, name) == ("time", "sleep"):
        return COROUTINE
    if receiver in CONNECTION_OBJECTS and name in CONNECTION_METHODS:
        return CONNECTION_METHODS[name]
    return kinds.get(name) if receiver in OURS else None


def _module(module: str, tree: ast.Module, kinds: Mapping[str, str], renamed: Mapping[str, str]) -> str:
    """Return the text of a module for asyncio."""
    kept: list[ast.stmt] = [*ast.parse("import asyncio\nfrom collections.abc import AsyncIterable, AsyncIterator").body]
    kept += ast.parse("from contextlib import asynccontextmanager").body
    shared: list[str] = []
    for node in tree.body:
        match node:
            case ast.ImportFrom(module=source) if source in SOURCES:
                kept += _imports(source, node, kinds, renamed)
            case ast.Import() | ast.ImportFrom() | ast.If():
                kept.append(_Async(kinds, renamed).visit(node))
            case ast.ClassDef() if node.name in renamed:
                kept.append(_Async(kinds, renamed).visit(node))
            case ast.FunctionDef() if node.name in kinds:
                kept.append(_Async(kinds, renamed).visit(node))
            case ast.ClassDef() | ast.FunctionDef():
                shared.append(node.name)
            case ast.Assign(targets=[*targets]):
                names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
                shared += [name for name in names if name != "__all__"]
    if shared:
        kept.insert(0, ast.ImportFrom(module, [ast.alias(name) for name in shared], 0))
    docstring = (ast.get_docstring(tree) or "").partition("\n")[0]
    if module == "workmanager.client":
        docstring = CLIENT_DOCSTRING
    body = ast.unparse(ast.fix_missing_locations(ast.Module(kept, [])))
    return HEADER.format(docstring, _path(module).relative_to(ROOT)) + body + "\n"


PACKAGE = '''"""The Python client for asyncio."""

from workmanager.aio.client import AsyncClient
from workmanager.aio.handles import AsyncJobHandle

__all__ = ["AsyncClient", "AsyncJobHandle"]
'''
CLIENT_DOCSTRING = """The Python client for asyncio: `AsyncClient` has the methods of `workmanager.client.Client`.

    async with AsyncClient(["http://127.0.0.1:5000", "http://127.0.0.1:5001"]) as client:
        work_id = await client.enqueue(b"data", iterations=1_000)
        async for job in client.as_completed([work_id]):
            print(await job.result())

What waits for a manager is a coroutine; what yields is an async iterator.
"""


def _imports(
    source: str, node: ast.ImportFrom, kinds: Mapping[str, str], renamed: Mapping[str, str]
) -> Iterator[ast.ImportFrom]:
    """Yield the imports that take the place of one of the client's own modules."""
    for name in (alias.name for alias in node.names):
        waits = name in renamed or name in kinds
        module = f"workmanager.aio.{SOURCES[source]}" if waits else source
        yield ast.ImportFrom(module, [ast.alias(renamed.get(name, name))], 0)


class _Async(ast.NodeTransformer):
    """Turns functions that wait into coroutines and async iterators."""

    def __init__(self, kinds: Mapping[str, str], renamed: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._renamed = renamed

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.name = self._renamed[node.name]
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: Function) -> ast.stmt:
        # By name for the methods of a protocol, which have no bodies.
        kind = _kind(node, self._kinds) or self._kinds.get(node.name)
        for annotation in (
            node.returns,
            *(argument.annotation for argument in node.args.args if argument.arg in STREAMS),
        ):
            if kind in (ITERATOR, RETURNS_ITERATOR, CONTEXT) and annotation is not None:
                for name in ast.walk(annotation):
                    if isinstance(name, ast.Name) and name.id in ("Iterator", "Iterable"):
                        name.id = f"Async{name.id}"
        is_context_method = node.name in ("__enter__", "__exit__")
        if is_context_method:
            node.name = f"__a{node.name[2:]}"
        self.generic_visit(node)
        if kind in (COROUTINE, ITERATOR, CONTEXT) or is_context_method:
            return ast.AsyncFunctionDef(**dict(ast.iter_fields(node)))
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | list[ast.ImportFrom]:
        if node.module in SOURCES:
            return [*_imports(node.module, node, self._kinds, self._renamed)]
        source, asyncio_s = CONNECTIONS
        if node.module == source:
            node.module = asyncio_s
            node.names = [ast.alias(self._renamed.get(alias.name, alias.name)) for alias in node.names]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        kind = _call_kind(node, self._kinds)
        receiver = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and (receiver, node.func.attr) == ("time", "sleep"):
            node.func.value = ast.Name("asyncio")
        return ast.Await(node) if kind == COROUTINE else node

    def visit_For(self, node: ast.For) -> ast.stmt:
        iterates = self._is_async(node.iter)
        self.generic_visit(node)
        return ast.AsyncFor(**dict(ast.iter_fields(node))) if iterates else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if isinstance(node.value, ast.YieldFrom):
            loop = ast.For(ast.Name("item"), node.value.value, [ast.Expr(ast.Yield(ast.Name("item")))], [])
            return self.visit_For(loop)
        self.generic_visit(node)
        return node

    def visit_With(self, node: ast.With) -> ast.stmt:
        waits = any(
            isinstance(item.context_expr, ast.Call) and _call_kind(item.context_expr, self._kinds) == CONTEXT
            for item in node.items
        )
        self.generic_visit(node)
        return ast.AsyncWith(**dict(ast.iter_fields(node))) if waits else node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._renamed.get(node.id, "asynccontextmanager" if node.id == "contextmanager" else node.id)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str):
            node.value = self._renamed.get(node.value, node.value)
            for old, new in TEXTS.items():
                node.value = node.value.replace(old, new)
        return node

    def _is_async(self, iterated: ast.expr) -> bool:
        if isinstance(iterated, ast.Name):
            return iterated.id in STREAMS
        return isinstance(iterated, ast.Call) and _call_kind(iterated, self._kinds) in (ITERATOR, RETURNS_ITERATOR)


if __name__ == "__main__":
    main()
