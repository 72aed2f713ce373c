"""Requests to every route of the OpenAPI document, valid and damaged, as bytes. Pure: a seed makes the same ones.

A request is made in three steps, and each may go wrong on purpose: the values that the document allows, the way in
which HTTP carries them, and the bytes.
"""

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

FUZZED_QUEUES = ("fuzzed", "fuzzed-2")
"""The only queues that are named, so that a neighbour's jobs are not touched with rights that allow it."""
_IDS = tuple(f"fuzzed-{number}" for number in range(30))
_BY_NAME: Mapping[str, Sequence[Any]] = {  # the first one is valid
    "queue": FUZZED_QUEUES,
    "function": ("noop", "sha512", "http", "sleep", "os.system", ""),
    "url": ("listen:fuzzed", "http://127.0.0.1:1/", "http://[::]/", "listen:"),
    "callback_url": ("listen:fuzzed", "https://192.0.2.1/"),
    "every": ("1h", "1s", "0s", 5),
    "cron": ("* * * * *", "0 0 31 2 *", "@daily", "61 * * * *"),
    "timezone": ("Europe/Berlin", "UTC", "Nowhere"),
    "at": ("2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 1e300),
    "delay": (5, 0, 1e9),
    "wait": (0,),
    "timeout": (5, 0, 1),
    "order": ("fifo", "lifo", "latest", "oldest"),
    "rate": ("100/1m", "5/1s", "0/1s"),
    "reason": ("exception", "timeout", ""),
    "max": (2, 0, -1),
    "intervals": ([1], [], [1e9], ["a"]),
    "isolation": ("job", "process"),
    "data": ("QUJD", "====", "QUJ"),
    "label": ("order:1", ":", "order"),
    "labels": ({"order": "1"}, {"": ""}, {"a": 1}),
    "cursor": ("AAAA", "", "eyJhIjoxfQ", "0-0"),
}
_ODD: Sequence[Any] = (
    *(None, True, [], {}, "", "\0", "é" * 99, "a" * 5000, "${x}", "..", "a/b?c#d", "NaN", "*"),
    *(-1, 0, 10**18, 2**63, 2**64, 10**400, -1e308, 1e-320, 0.5, [[[]]] * 9, {"": {"": None}}),
)
_SIZES = (1, 1, 1, 2, 3, 0)
_TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b";", b"\xff", b"0\r\n\r\n", b"\r\n\r\n", b"%", b"%zz", b"-1", b"+5"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.0", b"HTTP/9"),
    *(b"Host: x\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
)


class RequestMaker:
    """Makes the requests of one seed.

    Args:
        document: the OpenAPI document.
        keys: API keys that are tried; the empty one stands for none.
        without: routes that end so are left out.
    """

    def __init__(self, document: Mapping[str, Any], keys: Sequence[str], seed: str, *, without: str = "") -> None:
        self._random = random.Random(seed)
        self._keys = keys
        self._schemas = document["components"]["schemas"]
        self._operations = [
            (path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if not (without and path.endswith(without))
        ]

    def make(self, name: str) -> bytes:
        """Return one request, whose id is `name` if that survives."""
        path, method, operation = self._random.choice(self._operations)
        parts = {"path": "", "query": "", "header": ""}
        for parameter in operation.get("parameters", ()):
            where, field = parameter["in"], parameter["name"]
            if where == "path":
                path = path.replace(f"{{{field}}}", quote(self._path_value(path), safe=""))
            elif where == "query" and (parameter["required"] or self._random.random() < 0.4):
                value = self._value(field, parameter["schema"])
                parts["query"] += f"&{field}={quote(str(value).encode(errors='replace'))}"
        target = path + (f"?{parts['query'][1:]}" if parts["query"] else "")
        kind, body = self._body(path, operation.get("requestBody"))
        message = self._message(method.upper(), target, name, kind, body)
        return self._damaged(message) if self._random.random() < 0.3 else message

    def _path_value(self, path: str) -> str:
        if path.startswith(("/queues", "/schedules")):
            return self._random.choice(FUZZED_QUEUES)
        return self._random.choice([*_IDS, "a/b", "é", "..", "a" * 300, "%00"])

    def _body(self, path: str, wanted: Mapping[str, Any] | None) -> tuple[str, bytes]:
        if wanted is None:
            return ("", b"") if self._random.random() < 0.8 else ("text/plain", b"unwanted")
        kind = self._random.choice(list(wanted["content"]))
        if kind == "application/octet-stream":
            return kind, self._random.randbytes(self._random.choice([0, 1, 100, 20_000]))
        if kind == "multipart/form-data":
            field = self._random.choice(["data", "data", "date", 'da"ta'])
            head = f'--b\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'.encode()
            return f"{kind}; boundary=b", head + self._random.randbytes(50) + b"\r\n--b--\r\n"
        if kind == "application/x-ndjson":
            jobs = [
                self._value("", {"$ref": "#/components/schemas/Submission"}) for _ in range(self._random.randrange(6))
            ]
            return kind, b"\n".join(map(_to_json, jobs))
        value = self._value("", wanted["content"][kind]["schema"])
        if self._random.random() < 0.3:
            value = self._changed(value)
        if path == "/operations" and isinstance(value, dict):
            value["filter"] = {**value["filter"]} if isinstance(value.get("filter"), dict) else {}
            value["filter"]["queue"] = FUZZED_QUEUES[0]
        return kind, _to_json(value)

    def _value(self, name: str, schema: Any, depth: int = 0) -> Any:
        """Return a value that the schema allows, more or less."""
        rng = self._random
        if name in _BY_NAME and rng.random() < 0.9:
            return _BY_NAME[name][0] if rng.random() < 0.8 else rng.choice(_BY_NAME[name])
        if name == "kwargs":  # of `noop`, most of the time
            return {} if rng.random() < 0.8 else {"iterations": 1, "seconds": 0.1, "url": "http://127.0.0.1:1/"}
        if name == "args":
            return []
        if not isinstance(schema, dict) or depth > 9 or rng.random() < 0.003:
            return rng.choice(_ODD)
        if "$ref" in schema:
            return self._value(name, self._schemas[schema["$ref"].rpartition("/")[2]], depth + 1)
        for choices in ("enum", "examples"):
            if schema.get(choices):
                return rng.choice(schema[choices])
        if "const" in schema:
            return schema["const"]
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self._value(name, rng.choice(schema[several]), depth + 1)
        match schema.get("type"):
            case "object":
                given = schema.get("properties", {})
                needed = schema.get("required", ())
                fields = {key: given[key] for key in given if key in needed or rng.random() < 0.15}
                if given and not fields:
                    fields = dict([rng.choice(list(given.items()))])
                if not given:
                    any_field = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")][0]
                    fields = {rng.choice(_IDS): any_field for _ in range(rng.choice(_SIZES))}
                return {key: self._value(key, of, depth + 1) for key, of in fields.items()}
            case "array":
                return [self._value(name, schema.get("items", {}), depth + 1) for _ in range(rng.choice(_SIZES))]
            case "integer" | "number":
                lowest, highest = schema.get("minimum", 0), min(schema.get("maximum", 100), 100)
                return rng.choice([lowest, highest, rng.randint(int(lowest), max(int(lowest), int(highest)))])
            case "boolean":
                return rng.random() < 0.5
            case "string":
                return rng.choice(_IDS)
        return rng.choice(_ODD)

    def _changed(self, value: Any) -> Any:
        """Return the JSON value with something else, more or less at one place."""
        rng = self._random
        if isinstance(value, dict) and value and rng.random() < 0.9:
            key = rng.choice(list(value))
            match rng.randrange(3):
                case 0:
                    return {other: value[other] for other in value if other != key}
                case 1:
                    return {**value, key: self._changed(value[key])}
                case _:
                    return {**value, rng.choice([*_BY_NAME, "unknown", ""]): rng.choice(_ODD)}
        if isinstance(value, list) and value and rng.random() < 0.7:
            return [*value[1:], self._changed(value[0])] * rng.choice([1, 1, 50])
        return rng.choice(_ODD)

    def _message(self, method: str, target: str, name: str, kind: str, body: bytes) -> bytes:
        rng = self._random
        fields = {"Host": "127.0.0.1", "X-Request-Id": name}
        if key := rng.choice(self._keys):
            fields["Authorization"] = f"Bearer {key}"
        if kind:
            fields["Content-Type"] = kind if rng.random() < 0.95 else "text/html"
        if body and rng.random() < 0.15:
            body = gzip.compress(body)
            fields["Content-Encoding"] = rng.choice(["gzip", "gzip", "br"])
        if rng.random() < 0.1:
            fields["Expect"] = "100-continue"
        if rng.random() < 0.1:
            fields |= {"Connection": "upgrade", "Upgrade": rng.choice(["h2c", "websocket"])}
        elif rng.random() < 0.2:
            fields["Connection"] = "close"
        if body and rng.random() < 0.4:
            fields["Transfer-Encoding"] = "chunked"
            body = self._in_chunks(body)
        elif body:
            fields["Content-Length"] = str(len(body))
        version = "1.0" if rng.random() < 0.1 else "1.1"
        head = f"{method} {target} HTTP/{version}\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        return head.encode(errors="replace") + b"\r\n" + body

    def _in_chunks(self, body: bytes) -> bytes:
        rng, message = self._random, b""
        while body:
            size = rng.randint(1, len(body))
            extension = b";x=" + b"y" * rng.randrange(40) if rng.random() < 0.3 else b""
            message += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
            body = body[size:]
        return message + b"0\r\n" + rng.choice([b"", b"Trailer: a\r\n", b"Content-Length: 1\r\n"]) + b"\r\n"

    def _damaged(self, message: bytes) -> bytes:
        rng = self._random
        for _ in range(rng.randint(1, 3)):
            place, size = rng.randrange(len(message) + 1), rng.choice([0, 0, 1, 4, 60])
            part = message[place : place + size]
            new = rng.choice([b"", rng.choice(_TOKENS), rng.randbytes(3), part * 2, part[::-1]])
            message = message[:place] + new + message[place + size :]
        return message


def _to_json(value: Any) -> bytes:
    return json.dumps(value).replace('"NaN"', "NaN").replace('"*"', '"\\ud800"').encode()
