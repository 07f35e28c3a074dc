"""The page's charts: SVG without script, style or network, drawn by pygal and named for screen readers.

pygal brings a style sheet, a script and hints for its tooltips with every chart. They are taken out again: the page
styles all charts alike, in its own colours, on paper too.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from xportdnn.lazy import np
from xportdnn.statistics import Statistics

_COLUMNS = 64  # of a histogram
_BAR = 22  # height of a bar and the space below it
_PLAIN: Mapping[str, Any] = {"css": (), "js": (), "no_prefix": True, "show_legend": False, "truncate_label": -1}


class Charts:
    """The charts of one page; they number themselves, so that every title has an id of its own."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def bars(self, values: Mapping[str, float], title: str, description: str) -> str:
        """A bar for every name, the first on top."""
        chart = _pygal().HorizontalBar(
            **_PLAIN, width=760, height=70 + _BAR * len(values), print_values=True, print_values_position="top",
            formatter=lambda value: f"{value:.1f}", x_title="dB",
        )  # fmt: skip
        chart.x_labels = list(values)[::-1]
        chart.add("", list(values.values())[::-1])
        return self._dressed(chart, title, description)

    def line(self, points: Sequence[tuple[int, float]], title: str, description: str, x_title: str) -> str:
        """A line through points whose first coordinate grows."""
        chart = _pygal().XY(**_PLAIN, width=760, height=260, dots_size=2, x_title=x_title, y_title="dB")
        chart.x_labels = [x for x, _ in points[:: max(1, len(points) // 12)]]
        chart.add("", points)
        return self._dressed(chart, title, description)

    def histogram(self, seen: Statistics, limit: float, title: str, description: str) -> str:
        """How often each |x| occurs, on a logarithmic scale, and a line at the largest number of the format."""
        heights, width = _columns(seen)
        top = max(1, math.ceil(max(heights)))
        reach = max(limit, seen.peak)
        chart = _pygal().XY(
            **_PLAIN, width=380, height=190, show_dots=False, range=(0, top), xrange=(0, reach), x_title="|x|",
            y_title="values",
        )  # fmt: skip
        chart.x_labels = [{"value": reach * part / 4, "label": f"{reach * part / 4:.4g}"} for part in range(5)]
        chart.y_labels = [{"value": power, "label": f"1e{power}"} for power in range(0, top + 1, 1 + top // 6)]
        edges = [(at * width, height) for at, height in enumerate(heights)]
        outline = [point for x, height in edges for point in ((x, height), (x + width, height))]
        chart.add("", [(0, 0), *outline, (outline[-1][0], 0)], fill=True)
        chart.add("", [(limit, 0), (limit, top)])
        return self._dressed(chart, title, description, "histogram")

    def _dressed(self, chart: Any, title: str, description: str, kind: str = "") -> str:
        """The chart as an element of the page, with a title and a description that screen readers find."""
        from pygal.etree import etree

        root = chart.render_tree()
        for parent in list(root.iter()):
            for child in list(parent):
                if not isinstance(child.tag, str) or child.tag in ("defs", "title", "desc") or _is_tooltip(child):
                    parent.remove(child)
        number = next(self._numbers)
        for position, (tag, text) in enumerate((("title", title), ("desc", description))):
            element = etree.Element(tag)
            element.set("id", f"chart-{number}-{tag}")
            element.text = text
            root.insert(position, element)
        root.attrib.pop("id", None)
        root.set("class", kind)
        root.set("role", "img")
        root.set("aria-labelledby", f"chart-{number}-title chart-{number}-desc")
        return str(etree.tostring(root, encoding="unicode"))


def _pygal() -> Any:
    """pygal without the import hook for its map plug-ins, which slows every later import and warns on old Pythons."""
    import pygal

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    return pygal


def beyond(seen: Statistics, limit: float) -> float:
    """The share of values beyond a limit, 0 to 1, to the bin."""
    first = math.ceil(limit / seen.width) if limit < seen.peak else len(seen.counts)
    return float(seen.counts[first:].sum() / max(1, seen.count))


def _columns(seen: Statistics) -> tuple[list[float], float]:
    """log10(1 + count) of at most `_COLUMNS` stretches of |x| from 0, and their width."""
    used = int(np.flatnonzero(seen.counts)[-1]) + 1
    group = math.ceil(used / _COLUMNS)
    counts = np.pad(seen.counts[:used], (0, -used % group)).reshape(-1, group).sum(axis=1)
    return [math.log10(1 + int(value)) for value in counts], group * seen.width


def _is_tooltip(element: Any) -> bool:
    return "tooltip-overlay" in (element.get("class") or "")
