"""Bars in groups, and curves over spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.report.svg import Markup, join, line, number, plot, steps, tag, text

LEFT, RIGHT, TOP, BOTTOM = 44.0, 8.0, 28.0, 34.0

COLOURS = {
    "model": "c-model",
    "network alone": "c-network",
    "5-gram + history": "c-history",
    "5-gram": "c-five",
    "3-gram": "c-three",
    "unigram": "c-one",
    "real": "c-real",
    "repeat": "c-history",
    "markov": "c-markov",
    "alone": "c-five",
}
"""The class of each series: what is judged and what it has to beat stand out."""

Table = Mapping[str, Mapping[str, float]]
"""Values by group, then by series."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The area that values are drawn in."""

    width: float
    height: float
    ticks: Sequence[float]

    def y(self, value: float) -> float:
        """Where a value lies."""
        area = self.height - TOP - BOTTOM
        return self.height - BOTTOM - area * value / self.ticks[-1]

    def axis(self, title: str) -> Markup:
        """Lines and numbers of the value axis."""
        lines = join(
            line(LEFT, self.y(tick), self.width - RIGHT, self.y(tick), "grid")
            for tick in self.ticks
        )
        numbers = join(
            text(LEFT - 6, self.y(tick) + 4, number(tick), "tick", "end") for tick in self.ticks
        )
        return join((lines, numbers, text(0, 10, title, "tick", "start")))


def legend(names: Mapping[str, str]) -> Markup:
    """What each colour means: series and their words."""
    items = (
        tag("span", tag("i", class_=COLOURS[name]), words, class_="key")
        for name, words in names.items()
    )
    return tag("p", *items, class_="legend")


def bars(values: Table, title: str, *, width: float = 900, height: float = 280) -> Markup:
    """Groups of bars that stand on zero, each with its value above."""
    most = max((v for group in values.values() for v in group.values()), default=0.0)
    frame = Frame(width, height, steps(most))
    group_width = (width - LEFT - RIGHT) / max(1, len(values))
    drawn = [frame.axis(title)]
    for i, (group, series) in enumerate(values.items()):
        start = LEFT + i * group_width
        drawn.append(text(start + group_width / 2, height - 12, group, "label"))
        each = group_width * 0.84 / max(1, len(series))
        for j, (name, value) in enumerate(series.items()):
            x = start + group_width * 0.08 + j * each
            top = frame.y(value)
            shape = tag(
                "rect",
                tag("title", f"{group}, {name}: {number(value)}"),
                x=x,
                y=top,
                width=max(1.0, each - 2),
                height=max(0.5, frame.y(0) - top),
                rx=1.5,
                class_=COLOURS[name],
            )
            drawn.append(shape)
            if each > 22:
                drawn.append(text(x + each / 2 - 1, top - 4, number(value), "value"))
    return plot(width, height, title, *drawn)


def curves(values: Table, title: str, *, width: float = 440, height: float = 220) -> Markup:
    """A curve for each series over spans that are named by where they begin.

    ``values`` are by series, then by the span's beginning.
    """
    spans = sorted({int(span) for series in values.values() for span in series})
    most = max((v for series in values.values() for v in series.values()), default=0.0)
    frame = Frame(width, height, steps(most))
    apart = (width - LEFT - RIGHT - 30) / max(1, len(spans) - 1)
    place = {span: LEFT + 12 + i * apart for i, span in enumerate(spans)}
    drawn = [frame.axis(title)]
    drawn += [text(place[span], height - 16, f"{span:,}", "tick") for span in spans]
    for name, series in values.items():
        points = [(place[int(span)], frame.y(value)) for span, value in series.items()]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dots = join(
            tag(
                "circle",
                tag("title", f"{name}, from {int(span):,}: {number(value)}"),
                cx=x,
                cy=y,
                r=2.5,
            )
            for (x, y), (span, value) in zip(points, series.items(), strict=True)
        )
        drawn.append(tag("g", tag("path", d=path), dots, class_=f"curve {COLOURS[name]}"))
    return plot(width, height, title, *drawn)
