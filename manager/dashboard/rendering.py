"""Makes HTML of templates and values. Everything is escaped; nothing is loaded from elsewhere."""

import hashlib
import json
import math
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from manager.api_keys.caller import Caller
from manager.explain.scaler_reasons import in_plain_words
from manager.http.dashboard_paths import (
    AUDIT,
    CALLBACKS,
    FAILURES,
    HOME,
    JOBS,
    KEYS,
    LIMITS,
    QUEUES,
    SCALER,
    SCHEDULES,
    STATIC_PATHS,
    WORKERS,
    WORKFLOWS,
)
from manager.http.permissions import allows
from manager.http.problems import Problem

CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
NAVIGATION = (
    (HOME, "Overview"),
    (QUEUES, "Queues"),
    (JOBS, "Jobs"),
    (FAILURES, "Failures"),
    (WORKERS, "Workers"),
    (SCALER, "Scaler"),
    (SCHEDULES, "Schedules"),
    (WORKFLOWS, "Workflows"),
    (CALLBACKS, "Callbacks"),
    (LIMITS, "Limits"),
    (KEYS, "Keys"),
    (AUDIT, "Audit"),
)
"""Path and name of each page of the menu. Those that a caller may not open are left out."""
MAX_PADDING_BYTES = 100
_HEADERS = {"Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-store", "Vary": "Cookie, Authorization"}


class Pages:
    """Renders the templates.

    Args:
        root_path: prefix of all paths, under which a proxy makes the manager available.
        asks_for_keys: whether people sign in.
    """

    def __init__(self, root_path: str, *, asks_for_keys: bool) -> None:
        self._environment = Environment(
            loader=PackageLoader("manager.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            number=show_number,
            cost=show_cost,
            duration=show_duration,
            time=show_time,
            json=show_json,
            part=quote_part,
            plain_reason=in_plain_words,
        )
        self._environment.globals.update(
            root=root_path,
            version=_version(),
            asks_for_keys=asks_for_keys,
            navigation=NAVIGATION,
            padding=lambda: secrets.token_urlsafe(secrets.randbelow(MAX_PADDING_BYTES)),
            query=lambda **given: page_address("", **given),
        )
        self._environment.globals["ui"] = self._environment.get_template("parts.html").module

    def page(self, name: str, caller: Caller, *, http_status: int = 200, **values: Any) -> Response:
        """Return the page of a template."""
        text = self._environment.get_template(name).render(self._values(caller, values))
        return Response(_encodable(text), http_status, _HEADERS, "text/html")

    def error_page(self, problem: Problem, caller: Caller) -> tuple[bytes, dict[str, str]]:
        """Return the page that tells of a problem, and its header fields."""
        text = self._environment.get_template("error.html").render(self._values(caller, {"problem": problem}))
        return _encodable(text).encode(), {**_HEADERS, **problem.headers}

    def live_part(self, name: str, caller: Caller, **values: Any) -> str:
        """Return the part of the page that changes while somebody looks at it."""
        template = self._environment.get_template(name)
        return _encodable("".join(template.blocks["live"](template.new_context(self._values(caller, values)))))

    def _values(self, caller: Caller, values: Mapping[str, Any]) -> dict[str, Any]:
        def may(method: str, path: str) -> bool:
            return allows(caller, method, path)

        return {"notice": None, "here": None, "caller": caller, "may": may, **values}


def _encodable(text: str) -> str:
    """Return a text without halves of surrogate pairs, which JSON in Redis can have."""
    return text.encode("utf-8", "replace").decode()


def show_number(value: float) -> Markup:
    """Return a number that scripts can show as the reader is used to."""
    text = f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:,.1f}"
    return Markup('<data value="{}">{}</data>').format(value, text)


def show_cost(value: float) -> Markup:
    """Return an amount of money, in the same way."""
    return Markup('<data value="{}" data-digits="2">{}</data>').format(value, f"{value:,.2f}")


def show_duration(seconds: float | None) -> str:
    """Return a duration in its two largest units."""
    if seconds is None or not math.isfinite(seconds):
        return "none"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name} {rest} {smaller_name}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def show_time(value: float | str | None) -> Markup | str:
    """Return a time, a Unix time or as RQ writes it, that scripts can show in the reader's zone."""
    moment = parse_time(value)
    if moment is None:
        return "none"
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="milliseconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def parse_time(value: float | str | None) -> datetime | None:
    """Return a time in UTC; None if it is none."""
    if value is None:
        return None
    try:
        moment = datetime.fromtimestamp(value, UTC) if isinstance(value, float | int) else datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def show_json(value: Any) -> str:
    """Return a value as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def quote_part(text: str) -> str:
    """Return a text as a part of a path."""
    return quote(text, safe="")


def static_files() -> dict[str, tuple[bytes, str]]:
    """Return the files that pages load: content and media type, by path."""
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    return {
        path: (files("manager.dashboard").joinpath("static", name).read_bytes(), types[name.rpartition(".")[2]])
        for path in STATIC_PATHS
        for name in (path.rpartition("/")[2],)
    }


def _version() -> str:
    """Return what changes when one of these files does, so that browsers can keep them."""
    digest = hashlib.sha256()
    for _, (content, _) in sorted(static_files().items()):
        digest.update(content)
    return digest.hexdigest()[:12]


def page_address(path: str, **given: object) -> str:
    """Return the address of a page with a query of what is given and not empty."""
    present = {name: str(value) for name, value in given.items() if value not in (None, "")}
    return f"{path}?{urlencode(present)}" if present else path
