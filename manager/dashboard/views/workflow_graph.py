"""The drawing of a workflow: its jobs in columns, each to the right of those it waits for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_DRAWN = 150
"""Jobs of a larger workflow are only listed."""
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y = 160, 40, 50, 14


@dataclass(frozen=True, slots=True)
class Box:
    """A job. `x` and `y` are its upper left corner."""

    name: str
    job_id: str
    status: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The drawing.

    Attributes:
        lines: from and to which point (x, y, x, y) each edge goes.
    """

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[tuple[int, int, int, int]]


def draw_workflow(jobs: Mapping[str, Mapping[str, Any]]) -> Graph | None:
    """Return the drawing of a workflow's jobs, as the API shows them by name; None if they are too many."""
    if len(jobs) > MAX_DRAWN:
        return None
    parents = {name: [each["job"] for each in job["depends_on"] if each["job"] in jobs] for name, job in jobs.items()}
    columns: list[list[str]] = []
    for name, column in _columns(parents).items():
        columns += [[] for _ in range(column + 1 - len(columns))]
        columns[column].append(name)
    boxes = {
        name: Box(
            name, jobs[name]["id"], jobs[name]["status"] or "gone", x * (BOX_WIDTH + GAP_X), y * (BOX_HEIGHT + GAP_Y)
        )
        for x, column in enumerate(columns)
        for y, name in enumerate(column)
    }
    lines = [
        (boxes[parent].x + BOX_WIDTH, boxes[parent].y + BOX_HEIGHT // 2, box.x, box.y + BOX_HEIGHT // 2)
        for name, box in boxes.items()
        for parent in parents[name]
    ]
    height = max((len(column) for column in columns), default=1) * (BOX_HEIGHT + GAP_Y)
    return Graph(len(columns) * (BOX_WIDTH + GAP_X) - GAP_X, height, list(boxes.values()), lines)


def _columns(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the column of each job: one more than the largest of those it waits for."""
    columns: dict[str, int] = {}
    while len(columns) < len(parents):
        ready = [
            name for name, those in parents.items() if name not in columns and all(each in columns for each in those)
        ]
        # Jobs cannot wait for each other; if a record says so, they are drawn all the same.
        for name in ready or [next(name for name in parents if name not in columns)]:
            columns[name] = max((columns.get(each, -1) + 1 for each in parents[name]), default=0)
    return columns
