"""The pages that show the sampler's samples: the whole page, and the part that open pages are sent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from manager.api_keys.caller import Caller
from manager.dashboard.attention import Attention
from manager.dashboard.rendering import Pages
from manager.dashboard.sampler import Sample
from manager.dashboard.views.overview import overview_view
from manager.dashboard.views.queues import queues_page
from manager.dashboard.views.workers import workers_page
from manager.http.dashboard_paths import HOME, PREFIX

NAMES = ("overview", "queues", "workers")


def path_of(name: str) -> str:
    """Return the path of a page; that of the overview for a name that is none."""
    return f"{PREFIX}{name}" if name in NAMES and name != "overview" else HOME


_Values = Callable[[Sample, Caller], Mapping[str, Any]]


class LivePages:
    """Renders them. Callers that may and see the same share what is rendered of a sample."""

    def __init__(self, pages: Pages, attention: Attention, price_per_hour: float) -> None:
        self._pages = pages
        self._attention = attention
        self._price_per_hour = price_per_hour
        self._values: Mapping[str, _Values] = {
            "overview": self._overview,
            "queues": self._queues,
            "workers": self._workers,
        }
        self._number = 0
        self._parts: dict[tuple[object, ...], str] = {}

    def values(self, name: str, sample: Sample, caller: Caller) -> Mapping[str, Any]:
        """Return what the template `NAME.html` shows."""
        return self._values[name](sample, caller)

    def part(self, name: str, sample: Sample, caller: Caller) -> str:
        """Return the part of the page that changes."""

        def render() -> str:
            return self._pages.live_part(f"{name}.html", caller, **self.values(name, sample, caller))

        return self._once(name, sample, caller, render)

    def seen(self, sample: Sample, caller: Caller) -> str:
        """Return a text that differs as soon as something has changed that other pages may show to the caller."""
        return self._once("", sample, caller, lambda: repr(_what_is_seen(sample, caller)))

    def _once(self, name: str, sample: Sample, caller: Caller, make: Callable[[], str]) -> str:
        if sample.number != self._number:
            self._number = sample.number
            self._parts.clear()
        key = (name, caller.scopes, caller.queues)
        if key not in self._parts:
            self._parts[key] = make()
        return self._parts[key]

    def _overview(self, sample: Sample, caller: Caller) -> Mapping[str, Any]:
        view = overview_view(sample, caller, self._price_per_hour)
        return {"view": view, "problems": self._attention.problems(sample, caller)}

    def _queues(self, sample: Sample, caller: Caller) -> Mapping[str, Any]:
        return {"page": queues_page(sample, caller)}

    def _workers(self, sample: Sample, caller: Caller) -> Mapping[str, Any]:
        return {"page": workers_page(sample)}


def _what_is_seen(sample: Sample, caller: Caller) -> Sequence[object]:
    counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
    queues = [(name, replace(queue, oldest_seconds=None)) for name, queue in counts.queues.items()]
    unserved = sorted(name for name in sample.unserved if caller.sees(name))
    seen: list[object] = [queues, counts.paused, unserved, sample.error]
    if not caller.is_bound:
        view = sample.scaler
        seen += [counts.functions.finished, counts.functions.failed]
        seen += [] if view is None else [view.report, len(view.instances), view.state.overrides]
    return seen
