"""Lines over a logarithmic axis as an SVG, a panel for each measure, from the standard library alone. Owns how it looks; refuses to
know what is measured."""

import dataclasses
import math

# Pixels.
PANEL_WIDTH, PANEL_HEIGHT = 380, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 44, 40
COLUMNS = 2

COLOURS = ["#1b6ca8", "#c8553d", "#4f772d", "#6c4f8c"]
GRID, TEXT = "#d9dde1", "#222"
FONT = "font-family='sans-serif'"


@dataclasses.dataclass
class Panel:
    """`lines` are (label, [(x, y), …]) with x above 0; y begins at 0. `limit` is drawn as a dashed line."""

    title: str
    unit: str
    lines: list
    limit: float = None


def step_of(top):
    """A step of 1, 2 or 5 times a power of ten that cuts what lies below `top` into three to six."""
    rough = top / 4
    power = 10 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if rough <= power * factor)


def short(number):
    """10000000 as 10 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def text(x, y, words, size=11, anchor="middle", colour=TEXT):
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}' {FONT}>{words}</text>"


def stroke(x1, y1, x2, y2, colour=GRID, dash=""):
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' stroke-dasharray='{dash}'/>"


def draw(panel, left, top):
    """The parts of one panel whose corner is there."""
    xs = sorted({x for _, points in panel.lines for x, _ in points})
    highest = max([y for _, points in panel.lines for _, y in points] + [panel.limit or 0]) or 1
    step = step_of(highest * 1.05)
    ceiling = step * math.ceil(highest * 1.05 / step)
    width, height = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
    span = math.log10(xs[-1] / xs[0]) or 1
    at_x = lambda x: left + LEFT + width * math.log10(x / xs[0]) / span
    at_y = lambda y: top + TOP + height * (1 - y / ceiling)
    parts = [text(left + LEFT, top + 16, f"{panel.title}, {panel.unit}", 13, "start")]
    for count in range(round(ceiling / step) + 1):
        y = at_y(count * step)
        parts += [stroke(left + LEFT, y, left + LEFT + width, y), text(left + LEFT - 6, y + 4, short(count * step), anchor="end")]
    for x in xs:
        parts += [stroke(at_x(x), at_y(0), at_x(x), at_y(0) + 4, TEXT), text(at_x(x), at_y(0) + 17, short(x))]
    parts.append(text(left + LEFT + width / 2, at_y(0) + 33, "indicators", 11))
    if panel.limit:
        parts.append(stroke(left + LEFT, at_y(panel.limit), left + LEFT + width, at_y(panel.limit), "#888", "5 4"))
        parts.append(text(left + LEFT + width, at_y(panel.limit) - 4, "goal", 10, "end", "#666"))
    legend = left + LEFT
    for colour, (label, points) in zip(COLOURS, panel.lines):
        places = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        parts.append(f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{at_x(x):.1f}' cy='{at_y(y):.1f}' r='3' fill='{colour}'/>" for x, y in points]
        if len(panel.lines) > 1:
            parts.append(text(legend, top + 33, label, 11, "start", colour))
            legend += 9 + 6.5 * len(label)
    return parts


def svg(panels):
    """All panels in one picture."""
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = PANEL_WIDTH * min(COLUMNS, len(panels)), PANEL_HEIGHT * rows
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}'>"]
    parts.append(f"<rect width='{width}' height='{height}' fill='white'/>")
    for place, panel in enumerate(panels):
        parts += draw(panel, place % COLUMNS * PANEL_WIDTH, place // COLUMNS * PANEL_HEIGHT)
    return "\n".join([*parts, "</svg>"]) + "\n"
