"""Says what was measured, as Markdown."""

from __future__ import annotations

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
    compare,
    refusals,
    tables_of,
)
from words import plural

# A connection more that brings less than this brings nothing.
GROWTH = 1.05
# What is used to this share is the limit.
LIMIT = 0.9
NONE = "–"
# A second of a task with 1 vCPU and 2 GiB, as the planner's `USUAL_PRICE`, and the shortest time that is charged.
# https://cloud.google.com/run/pricing
DOLLARS_PER_SECOND = 0.000018 + 2 * 0.000002
LEAST_SECONDS = 60


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def header(*titles: str) -> list[str]:
    return [row(*titles), "|" + " --- |" * len(titles)]


def show(metric: Metric, found: Spread | None) -> str:
    """The median, with minimum and maximum unless they look the same."""
    if found is None:
        return NONE
    median, least, most = (metric.show(value) for value in (found.median, found.least, found.most))
    return median if least == most else f"{median} ({least}–{most})"


def of_peers(all_series: list[Series]) -> list[str]:
    """A table for each table: a row for each peer, and Sluice divided by each, unless something disturbed them."""
    lines: list[str] = []
    for table, of_table in tables_of(all_series).items():
        sluice, *others = of_table
        lines += ["", f"### {table}, {sluice.rows:,} rows", ""]
        lines += header("", *(f"{metric.title} {metric.unit}" for metric in METRICS))
        lines += [row(series.peer, *(show(metric, series.spread(metric)) for metric in METRICS)) for series in of_table]
        refused: list[str] = []
        for found in (compare(sluice, other) for other in others):
            refused += found.refused
            if found.ratios:
                shown = {key: f"{ratio:.2f}" for key, ratio in found.ratios.items()}
                cells = [shown.get(metric.key, NONE) for metric in METRICS]
                lines.append(row(f"{found.over} ÷ {found.under}", *cells))
        lines += [line for reason in dict.fromkeys(refused) for line in ("", f"No ratio: {reason}.")]
    return lines


def of_sizes(all_series: list[Series]) -> list[str]:
    """What Sluice takes by the number of rows."""
    metrics = (WALL, CLIENT_CPU, SERVER_CPU, LARGEST_PROCESS, WRITTEN)
    lines = ["", *header("rows", *(f"{metric.title} {metric.unit}" for metric in metrics), "dollars")]
    for series in all_series:
        cells = [show(metric, series.spread(metric)) for metric in metrics]
        lines.append(row(f"{series.rows:,}", *cells, f"{dollars(series):.4f}"))
    return lines + [line for reason in refusals(*all_series) for line in ("", f"Disturbed: {reason}.")]


def dollars(series: Series) -> float:
    """What the tasks of a run would cost on Cloud Run, if each took as long as the run."""
    wall = series.spread(WALL)
    assert wall, "a series has runs"
    return series.connections * max(wall.median, LEAST_SECONDS) * DOLLARS_PER_SECOND


def price_of_tasks() -> str:
    """What `dollars` counts."""
    return (
        f"The dollars are those of the tasks on Cloud Run, ${DOLLARS_PER_SECOND:.6f} a second of one with 1 vCPU and "
        f"2 GiB, {LEAST_SECONDS} seconds at least, if they took as long there as the run did here."
    )


def of_connections(all_series: list[Series], cores: int) -> list[str]:
    """Sluice's throughput by the number of its connections, beside that of as many bare COPYs."""
    lines: list[str] = []
    for table, of_table in tables_of(all_series).items():
        sluice = {series.connections: series for series in of_table if series.peer == "sluice"}
        copy = {series.connections: series for series in of_table if series.peer == "copy"}
        lines += ["", f"### {table}, {of_table[0].rows:,} rows", ""]
        rates_of = [f"{peer}, rows a second" for peer in ("sluice", "copy")]
        lines += header("connections", *rates_of, "client CPU s", "server CPU s", "of all cores")
        rate = Metric("", "", "", 1, 0)
        for number, series in sluice.items():
            cpu = [show(metric, series.spread(metric)) for metric in (CLIENT_CPU, SERVER_CPU)]
            rates = [show(rate, one.rate()) for one in (series, copy[number])]
            lines.append(row(str(number), *rates, *cpu, f"{series.used(cores):.0%}"))
        lines += ["", limit(sluice, copy, cores)]
    return lines


def limit(sluice: dict[int, Series], copy: dict[int, Series], cores: int) -> str:
    """Where the throughput stops growing, and what is the limit there."""
    reasons = refusals(*sluice.values(), *copy.values())
    if reasons:
        return f"No limit is named: {reasons[0]}."
    rates = {number: sluice[number].rate().median for number in sorted(sluice)}
    best = next(number for number in rates if not any(rates[more] >= GROWTH * rates[number] for more in rates))
    until = plural(best, "connection")
    if best == max(rates):
        grows = f"The throughput grows until {until}, the most that were tried"
    else:
        grows = f"The throughput grows until {until}; more bring less than {GROWTH - 1:.0%}"
    share = rates[best] / max(series.rate().median for series in copy.values())
    used = sluice[best].used(cores)
    if used >= LIMIT:
        reason = f"client and server use {used:.0%} of the cores that they share there, which is the limit"
    elif share >= LIMIT:
        reason = "the server is the limit there"
    else:
        reason = f"client and server use {used:.0%} of the cores that they share there"
    return f"{grows}. It is {share:.0%} of what bare COPYs reach at best; {reason}."
