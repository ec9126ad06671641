"""A plot of lines on two logarithmic axes, one panel for each group, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 330, 360
LEFT, TOP, RIGHT, BOTTOM = 62, 44, 112, 52
LABEL = 14
COLOURS = ("#1f6feb", "#d1495b", "#2a9d5c", "#8957e5", "#c77700", "#0a8f9c", "#6e7781", "#b83280")
STYLE = """text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-size: 14px; font-weight: 600; fill: #24292f }
.grid { stroke: #d0d7de; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }"""

Lines = Mapping[str, Sequence[tuple[float, float]]]


def log_log(x_title: str, y_title: str, panels: Mapping[str, Lines]) -> str:
    """`panels`: by title, by line, its points; both coordinates above zero."""
    points = [point for lines in panels.values() for line in lines.values() for point in line]
    xs = _decades([x for x, _ in points])
    ys = _decades([y for _, y in points])
    width = len(panels) * (LEFT + WIDTH + RIGHT)
    height = TOP + HEIGHT + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for n, (title, lines) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({n * (LEFT + WIDTH + RIGHT) + LEFT} {TOP})">')
        parts.append(f'<text class="title" x="0" y="-18">{escape(title)}</text>')
        parts += _grid(xs, ys, x_title, y_title)
        parts += _drawn(lines, xs, ys)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _decades(values: Sequence[float]) -> range:
    return range(floor(log10(min(values))), ceil(log10(max(values))) + 1)


def _at(value: float, decades: range, length: float) -> float:
    return (log10(value) - decades[0]) / max(1, decades[-1] - decades[0]) * length


def _grid(xs: range, ys: range, x_title: str, y_title: str) -> list[str]:
    parts = []
    for power in xs:
        x = _at(10**power, xs, WIDTH)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT + 18}" text-anchor="middle">{_said(power)}</text>')
    for power in ys:
        y = HEIGHT - _at(10**power, ys, HEIGHT)
        parts.append(f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{_said(power)}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT + 38}" text-anchor="middle">{escape(x_title)}</text>')
    middle = f'transform="translate(-48 {HEIGHT / 2}) rotate(-90)"'
    return [*parts, f'<text {middle} text-anchor="middle">{escape(y_title)}</text>']


def _drawn(lines: Lines, xs: range, ys: range) -> list[str]:
    parts = []
    ends: list[tuple[float, str, str]] = []
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        places = [(_at(x, xs, WIDTH), HEIGHT - _at(y, ys, HEIGHT)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        ends.append((places[-1][1], name, colour))
    last = float("-inf")
    for y, name, colour in sorted(ends):
        last = max(y, last + LABEL)  # labels do not cover each other
        parts.append(f'<text x="{WIDTH + 10}" y="{last + 4:.1f}" style="fill:{colour}">{escape(name)}</text>')
    return parts


def _said(power: int) -> str:
    if power < 0:
        return f"{10**power:g}"
    return f"{10 ** (power % 3)}{('', ' k', ' M', ' G')[power // 3]}"
