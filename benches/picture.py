"""Draws bars as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from series import (
    CLIENT_CPU,
    LARGEST_PROCESS,
    METRICS,
    SERVER_CPU,
    WALL,
    WRITTEN,
    Metric,
    Series,
    Spread,
    tables_of,
)

COLOURS = {"sluice": "#0b6e99", "duckdb": "#d9a400", "copy": "#9aa0a6"}
WIDTH, MARGIN, NAMES, GAP = 960, 16, 60, 16
# Room for the number behind the longest bar.
NUMBER = 54
BAR, STEP = 16, 24
# The largest process is in the table only.
DRAWN = tuple(metric for metric in METRICS if metric != LARGEST_PROCESS)


@dataclass(frozen=True)
class Bar:
    """A name at its left, a length, and a text at its right."""

    name: str
    peer: str
    found: Spread | None
    text: str


@dataclass(frozen=True)
class Panel:
    """The bars of one metric, which have one scale."""

    title: str
    bars: list[Bar]


def of_peers(all_series: list[Series], title: str, notes: list[str]) -> str:
    """A row of panels for each table, a panel for each metric, a bar for each peer."""
    rows = []
    for table, of_table in tables_of(all_series).items():
        panels = [Panel(f"{metric.title}, {metric.unit}", bars(metric, of_table)) for metric in DRAWN]
        rows.append((f"{table}, {of_table[0].rows:,} rows", panels))
    return draw(title, rows, notes)


def bars(metric: Metric, of_table: list[Series]) -> list[Bar]:
    found = [(series.peer, series.spread(metric)) for series in of_table]
    return [Bar(peer, peer, one, metric.show(one.median) if one else "none") for peer, one in found]


def of_sizes(all_series: list[Series], title: str, notes: list[str]) -> str:
    """A panel for each metric, a bar for each number of rows."""
    panels = []
    for metric in (WALL, CLIENT_CPU, SERVER_CPU, LARGEST_PROCESS, WRITTEN):
        found = [(f"{series.rows / 1e6:g} M", series.spread(metric)) for series in all_series]
        drawn = [Bar(name, "sluice", one, metric.show(one.median) if one else "none") for name, one in found]
        panels.append(Panel(f"{metric.title}, {metric.unit}", drawn))
    return draw(title, [("events, by millions of rows", panels)], notes)


def of_connections(all_series: list[Series], title: str, notes: list[str]) -> str:
    """A panel for each table and peer, a bar for each number of connections."""
    rows = []
    for table, of_table in tables_of(all_series).items():
        panels = []
        for peer in ("sluice", "copy"):
            rates = [(series.connections, series.rate()) for series in of_table if series.peer == peer]
            drawn = [Bar(str(number), peer, rate, f"{rate.median / 1000:,.0f}") for number, rate in rates]
            panels.append(Panel(f"{peer}, 1,000 rows/s", drawn))
        # One scale for both, so that they can be compared.
        rows.append((f"{table}, {of_table[0].rows:,} rows, by connections", panels))
    return draw(title, rows, notes, one_scale=True)


def draw(title: str, rows: list[tuple[str, list[Panel]]], notes: list[str], one_scale: bool = False) -> str:
    width = (WIDTH - 2 * MARGIN - NAMES) // max(len(of_row) for _, of_row in rows) - GAP
    y = MARGIN + 18
    parts = [text(MARGIN, y, title, "title")]
    for heading, of_row in rows:
        y += 34
        parts.append(text(MARGIN, y, heading, "heading"))
        y += 22
        longest = max(top(panel) for panel in of_row) if one_scale else 0.0
        for at, panel in enumerate(of_row):
            x = MARGIN + NAMES + at * (width + GAP)
            parts.append(text(x, y, panel.title, "metric"))
            parts += draw_bars(panel, x, y + 10, width, longest or top(panel))
        for at, bar in enumerate(of_row[0].bars):
            parts.append(text(MARGIN + NAMES - 8, y + 10 + at * STEP + 13, bar.name, "name"))
        y += 10 + STEP * len(of_row[0].bars)
    for note in notes:
        y += 18
        parts.append(text(MARGIN, y, note.replace("`", ""), "note"))
    height = y + MARGIN
    return "\n".join([*head(height, title), *parts, "</svg>", ""])


def draw_bars(panel: Panel, x: int, y: int, width: int, longest: float) -> list[str]:
    """Bars of the medians, each with a thin line from the minimum to the maximum."""
    parts = []
    scale = (width - NUMBER) / longest if longest else 0.0
    for at, bar in enumerate(panel.bars):
        above = y + at * STEP
        end = x + 2.0
        if bar.found:
            length = max(1.0, bar.found.median * scale)
            least, most = x + bar.found.least * scale, x + bar.found.most * scale
            middle = above + BAR / 2
            parts.append(f'<rect x="{x}" y="{above}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[bar.peer]}"/>')
            parts.append(f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="#202124" stroke-width="1.5"/>')
            end = max(x + length, most)
        parts.append(text(round(end + 4), above + 13, bar.text, "number"))
    return parts


def top(panel: Panel) -> float:
    return max((bar.found.most for bar in panel.bars if bar.found), default=0.0)


def head(height: int, title: str) -> list[str]:
    """A white ground, because the page that shows the picture may be dark."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
        '    role="img">',
        f"<title>{escape(title)}</title>",
        "<style>",
        "text { font-family: system-ui, sans-serif; font-size: 12px; fill: #202124 }",
        ".title { font-size: 15px; font-weight: 600 } .heading { font-size: 13px; font-weight: 600 }",
        ".name { text-anchor: end } .metric, .note { fill: #5f6368 } .note { font-size: 11px }",
        "</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
    ]


def text(x: int, y: int, words: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'
