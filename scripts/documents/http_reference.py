"""The page of every HTTP request, from the OpenAPI document."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
Operation = Mapping[str, Any]
TITLE = "HTTP requests"
_INTRODUCTION = """\
Every request of a manager, from the OpenAPI document. [HTTP](../http.md) says what holds for all of them.
A manager shows the same at `/docs`, with the functions of your own.
"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
"""Keywords of JSON Schema, and how a page writes them."""
_SIZES = {"minLength": "at least {} long", "maxLength": "at most {} long"}
_COUNTS = {"minItems": "at least {}", "maxItems": "at most {}"}


def http_page(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    usual = _usual_errors([operation for _, _, operation in operations])
    requests = _requests(operations, usual)
    return "\n".join([f"# {TITLE}", "", _INTRODUCTION, *_errors(usual), *requests, *_bodies(document)])


def _usual_errors(operations: Sequence[Operation]) -> Mapping[str, str]:
    """Return for each status of an error what it usually means."""
    found = [each for operation in operations for each in operation["responses"].items() if each[0] >= "400"]
    meanings = {status: [answer["description"] for other, answer in found if other == status] for status, _ in found}
    return {status: Counter(texts).most_common(1)[0][0] for status, texts in sorted(meanings.items())}


def _errors(usual: Mapping[str, str]) -> Iterator[str]:
    yield "## Errors\n"
    yield "Errors are problem details (`application/problem+json`, [ProblemDetails](#problemdetails)). What they mean"
    yield "unless a request says something else:\n"
    yield from _table(("Status", "Meaning"), list(usual.items()))


def _requests(operations: Sequence[tuple[str, str, Operation]], usual: Mapping[str, str]) -> Iterator[str]:
    """One section for each tag."""
    for tag in dict.fromkeys(operation["tags"][0] for _, _, operation in operations):
        yield f"## {tag.capitalize()}\n"
        for method, path, operation in operations:
            if operation["tags"][0] == tag:
                yield from _request(method, path, operation, usual)


def _request(method: str, path: str, operation: Operation, usual: Mapping[str, str]) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield operation["description"] + "\n"
    scopes = [scope for choice in operation.get("security", []) for scope in choice.get("key", [])]
    needed = f"a key with the scope `{'`, `'.join(scopes)}`, if managers have keys" if scopes else "no key"
    yield f"`{operation['operationId']}`. Needs {needed}.\n"
    if parameters := operation.get("parameters"):
        yield from _table(("Parameter", "In", "Type", "Meaning"), [_parameter(each) for each in parameters])
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: `{media_type}`, {_type(content['schema'])}.\n"
    answers = operation["responses"].items()
    yield from _table(("Status", "Body", "When"), [_answer(*each) for each in answers if each[0] < "400"])
    errors = [_error(status, answer["description"], usual) for status, answer in answers if status >= "400"]
    if errors:
        yield f"[Errors](#errors): {', '.join(errors)}.\n"


def _parameter(parameter: Mapping[str, Any]) -> Sequence[str]:
    required = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
    name = f"`{parameter['name']}`{required}"
    return name, parameter["in"], _type(parameter["schema"]), parameter.get("description", "")


def _answer(status: str, answer: Mapping[str, Any]) -> Sequence[str]:
    bodies = [_type(content.get("schema", {})) for content in answer.get("content", {}).values()]
    when = answer["description"].replace("Successful Response", "done")
    return status, " or ".join(dict.fromkeys(bodies)) or "nothing", when


def _error(status: str, meaning: str, usual: Mapping[str, str]) -> str:
    return status if meaning == usual[status] else f"{status} ({meaning[:1].lower()}{meaning[1:]})"


def _bodies(document: Mapping[str, Any]) -> Iterator[str]:
    """One section for each schema that has a name."""
    yield "## Bodies\n"
    for name, schema in document["components"]["schemas"].items():
        yield f"### {name}\n"
        if description := schema.get("description"):
            yield description + "\n"
        required = set(schema.get("required", ()))
        rows = [_field(field, declared, field in required) for field, declared in schema.get("properties", {}).items()]
        if rows:
            yield from _table(("Field", "Type", "Meaning"), rows)
        else:
            yield _type({key: value for key, value in schema.items() if key != "description"}) + "\n"


def _field(name: str, schema: Schema, required: bool) -> Sequence[str]:
    return f"`{name}`" + (", required" if required else ""), _type(schema), schema.get("description", "")


def _type(schema: Schema) -> str:
    """Return what values a schema permits, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices)) + _default(schema)
    if "allOf" in schema:
        return " and ".join(_type(part) for part in schema["allOf"]) + _default(schema)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{json.dumps(value)}`" for value in values) + _default(schema)
    return _plain_type(schema) + _limits(schema) + _default(schema)


def _plain_type(schema: Schema) -> str:
    kind = schema.get("type", "any JSON value")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"object of {_type(values)}"
    if kind == "string" and schema.get("format") == "binary":
        return "bytes"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _limits(schema: Schema) -> str:
    bounds = [f"{sign} {schema[key]:,}" for key, sign in BOUNDS.items() if key in schema]
    sizes = [text.format(f"{schema[key]:,}") for key, text in {**_SIZES, **_COUNTS}.items() if key in schema]
    formats = [schema["format"]] if schema.get("format", "binary") != "binary" else []
    return "".join(f", {limit}" for limit in (*formats, *bounds, *sizes))


def _default(schema: Schema) -> str:
    return f", default `{json.dumps(schema['default'])}`" if schema.get("default") is not None else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""
