"""Charts as SVG text, drawn by matplotlib: the same figures always give the same bytes.

matplotlib is a development dependency (requirements-dev.txt), so it is imported only when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS_PER_INCH = 72
_NO_METADATA = {"Creator": None, "Date": None}


class MatplotlibMissing(Exception):
    """matplotlib is not installed. Remedy: install requirements-dev.txt."""


def require_matplotlib() -> None:
    """Check that charts can be drawn.

    Raises:
        MatplotlibMissing: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise MatplotlibMissing(
            "charts need matplotlib, which is not installed: pip install -r requirements-dev.txt"
        ) from error


def draw_svg(draw: Callable[[Axes], None], *, width: float, height: float) -> str:
    """Return the chart that `draw` makes on empty axes, as SVG of this size in points.

    Raises:
        MatplotlibMissing: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    style = matplotlib.rc_context(
        {
            "axes.spines.right": False,
            "axes.spines.top": False,
            "legend.frameon": False,
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "workmanager",  # element ids do not change from run to run
        }
    )
    with style:
        figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained")
        draw(figure.subplots())
        text = StringIO()
        figure.savefig(text, format="svg", metadata=_NO_METADATA)
    # matplotlib ends some lines with a space.
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
