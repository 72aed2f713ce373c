"""`python -m benchmarks.publish`: write the tables and charts of the last results into `benchmarks/README.md`.

The results are the benchmarks' stdout, kept as `benchmarks/results/NAME.jsonl`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.benchmark_report import OTHER_CORES_FIELD
from benchmarks.harness.charts import Axis, draw_bars, draw_lines

_HERE = Path(__file__).parent
RESULTS = _HERE / "results"
_PICTURES = _HERE / "pictures"
_README = _HERE / "README.md"
_BEGIN, _END = "<!-- results: written by `python -m benchmarks.publish` -->\n", "<!-- end of results -->\n"
ORDER = (
    *("worker_noop", "http_enqueue", "http_pull", "http_batch", "latency", "enqueue_under_drain", "backlog"),
    *("memory", "cpu_slots", "isolation", "features", "idle_worker", "cluster_cpu", "idle_fleet", "scaler_tick"),
)
"""All benchmarks, in the order of the aims."""

Line = Mapping[str, Any]


def main() -> None:
    """Draw the charts and replace the results section of the README."""
    results = {name: read_results(RESULTS / f"{name}.jsonl") for name in ORDER if (RESULTS / f"{name}.jsonl").exists()}
    _PICTURES.mkdir(exist_ok=True)
    for name, chart in draw_charts(results).items():
        (_PICTURES / f"{name}.svg").write_text(chart)
    before, _, rest = _README.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _README.write_text(before + _BEGIN + "\n" + markdown_tables(results) + _END + after)


def read_results(path: Path) -> list[Line]:
    """Return the lines of one benchmark."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def markdown_tables(results: Mapping[str, Sequence[Line]]) -> str:
    """Return Markdown: every aim with its measured figure, each benchmark's medians, and the charts."""
    text = "| Benchmark | Aim | Measured | |\n|---|---|---:|---|\n"
    for name, lines in results.items():
        for line in lines:
            if "aim" in line:
                text += (
                    f"| `{name}` | {line['aim']} {_limit(line)} | {_figure(line['measured'])} | {_verdict(line)} |\n"
                )
    for name, lines in results.items():
        text += f"\n**{name}**{' (quick)' if lines[0]['quick'] else ''}\n\n" + _medians(lines)
    images = [f"![{name}](pictures/{name}.svg)\n" for name in draw_charts(results)]
    return text + "\n" + "\n".join([*images, ""])


def draw_charts(results: Mapping[str, Sequence[Line]]) -> dict[str, str]:
    """Return the charts as SVG, by name."""
    charts = {}
    if "worker_noop" in results:
        rates = {line["contestant"]: line["jobs_per_second"] for line in _of(results["worker_noop"], "median_of")}
        charts["worker_noop"] = draw_bars("No-op jobs, one worker process, results kept", "jobs/s", rates)
    if "latency" in results:
        (line,) = _of(results["latency"], "curve")
        charts["latency"] = _curve_chart("From PUT to the value in hand, idle worker", [line], Axis(line["x"], True))
    if "enqueue_under_drain" in results:
        (line,) = _of(results["enqueue_under_drain"], "curve")
        charts["enqueue_under_drain"] = _curve_chart("PUT's p99 while a worker drains", [line], Axis(line["x"]))
    if "backlog" in results:
        lines = list(_of(results["backlog"], "curve"))
        charts["backlog"] = _curve_chart("Rates by the length of the queue", lines, Axis(lines[0]["x"], True))
    return charts


def _curve_chart(title: str, lines: Sequence[Line], x: Axis) -> str:
    return draw_lines(title, x, Axis(lines[0]["y"]), {line["curve"]: line["points"] for line in lines})


def _medians(lines: Sequence[Line]) -> str:
    rows = list(_of(lines, "median_of"))
    not_figures = {"benchmark", "quick", "contestant", "median_of", OTHER_CORES_FIELD}
    columns = list(dict.fromkeys(name for row in rows for name in row if name not in not_figures))
    titles = ["", *(column.replace("_", " ") for column in columns), "runs", "others' cores"]
    text = "| " + " | ".join(titles) + " |\n|---" + "|---:" * (len(titles) - 1) + "|\n"
    for row in rows:
        cells = [row["contestant"], *(_figure(row.get(column)) for column in columns)]
        text += "| " + " | ".join([*cells, str(row["median_of"]), _figure(row[OTHER_CORES_FIELD])]) + " |\n"
    return text


def _of(lines: Sequence[Line], kind: str) -> Iterator[Line]:
    return (line for line in lines if kind in line)


def _limit(line: Line) -> str:
    return f"≥ {line['least']:,g}" if "least" in line else f"≤ {line['most']:,g}"


def _verdict(line: Line) -> str:
    return "met" if line["met"] else "**not met**"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
