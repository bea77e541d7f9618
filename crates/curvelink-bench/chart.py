"""A chart of throughput by size, as an SVG that is read on light and on dark paper."""

from math import log10

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 84, 44, 52  # margins around the plot
SLOTS = ("first", "second")

# Colours follow the reader's setting, where the program that shows the file tells it.
STYLE = """
svg { font: 13px system-ui, sans-serif; background: #ffffff; }
text { fill: #4a4f57; }
.title { fill: #1c1f24; font-weight: 600; font-size: 15px; }
.grid { stroke: #e3e6ea; }
.volume { stroke: #b4bac2; stroke-dasharray: 2 5; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.first { stroke: #1f6fd0; } .dot.first, .label.first { fill: #1f6fd0; stroke: none; }
.second { stroke: #b4540a; } .dot.second, .label.second { fill: #b4540a; stroke: none; }
.label { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  svg { background: #15181c; }
  text { fill: #b3bac4; }
  .title { fill: #eef1f5; }
  .grid { stroke: #2b3037; }
  .volume { stroke: #59616c; }
  .first { stroke: #6aa9f4; } .dot.first, .label.first { fill: #6aa9f4; }
  .second { stroke: #f0a25a; } .dot.second, .label.second { fill: #f0a25a; }
}
"""


def draw(lines):
    """`lines`: by name, points of octets and messages a second. Both axes are logarithmic."""
    sizes = [size for points in lines.values() for size, _ in points]
    rates = [rate for points in lines.values() for _, rate in points]
    plot = Plot((min(sizes), max(sizes)), (10 ** int(log10(min(rates))), 1.2 * max(rates)))
    parts = [f'<text class="title" x="{LEFT}" y="24">Messages per second by size, PUSH to PULL over tcp</text>']
    parts += rules(plot)
    for slot, (name, points) in zip(SLOTS, lines.items()):
        parts += line(plot, slot, name, points)
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">size of a message</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    label = "Messages per second by size, under NULL and under CURVE; the figures stand in the table"
    return "\n".join([f'{head} aria-label="{label}">', f"<style>{STYLE}</style>", *parts, "</svg>\n"])


class Plot:
    """From values to places."""

    def __init__(self, xs, ys):
        self.xs, self.ys = xs, ys

    def x(self, value):
        return round(LEFT + share(value, self.xs) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value):
        return round(HEIGHT - BOTTOM - share(value, self.ys) * (HEIGHT - TOP - BOTTOM), 1)


def share(value, ends):
    first, last = map(log10, ends)
    return (log10(value) - first) / (last - first)


def rules(plot):
    """The grid, and where a volume per second is the same: towards large messages it is what counts."""
    (left, right), (low, high) = plot.xs, plot.ys
    decade = low
    while decade <= high:
        y = plot.y(decade)
        yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{short(decade, 1000, ("", " k", " M"))}</text>'
        decade *= 10
    size = left
    while size <= right:
        x = plot.x(size)
        yield f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{short(size, 1024, (" B", " KiB", " MiB"))}</text>'
        size *= 4
    for volume in (1e8, 1e9, 1e10):
        begin, end = max(left, volume / high), min(right, volume / low)
        if begin < end:
            places = [f"{plot.x(size)},{plot.y(volume / size)}" for size in (begin, end)]
            yield f'<polyline class="volume" points="{" ".join(places)}"/>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">dotted: 0.1, 1 and 10 GB/s</text>'


def line(plot, slot, name, points):
    places = [(plot.x(size), plot.y(rate)) for size, rate in points]
    yield f'<polyline class="line {slot}" points="{" ".join(f"{x},{y}" for x, y in places)}"/>'
    for (x, y), (size, rate) in zip(places, points):
        yield f'<circle class="dot {slot}" cx="{x}" cy="{y}" r="3"><title>{name}, {size} octets: {rate:.0f}/s</title></circle>'
    x, y = places[-1]
    yield f'<text class="label {slot}" x="{x + 10}" y="{y + 4}">{name}</text>'


def short(value, step, units):
    unit = 0
    while value >= step and unit + 1 < len(units):
        value, unit = value / step, unit + 1
    return f"{value:g}{units[unit]}"
