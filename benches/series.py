"""The runs of a peer on a table, and what can be said about them together."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass, field

from measure import Run
from words import plural


@dataclass(frozen=True)
class Metric:
    """One of the things that a run costs, and the unit in which people read it."""

    key: str
    title: str
    unit: str
    divisor: float
    digits: int

    def values(self, runs: list[Run]) -> list[float]:
        found = [getattr(run, self.key) for run in runs]
        return [value / self.divisor for value in found if value is not None]

    def show(self, value: float) -> str:
        return f"{value:,.{self.digits}f}"


CLIENT_CPU = Metric("client_cpu", "client CPU", "s", 1, 2)
SERVER_CPU = Metric("server_cpu", "server CPU", "s", 1, 2)
WALL = Metric("wall", "wall", "s", 1, 2)
TIMES = (CLIENT_CPU, SERVER_CPU, WALL)
MEMORY = Metric("memory", "peak memory", "MiB", 2**20, 0)
LARGEST_PROCESS = Metric("largest_process", "largest process", "MiB", 2**20, 0)
WRITTEN = Metric("written", "written", "MB", 1e6, 2)
METRICS = (*TIMES, MEMORY, LARGEST_PROCESS, WRITTEN)


@dataclass(frozen=True)
class Spread:
    """What many runs say about one metric."""

    median: float
    least: float
    most: float


def spread(values: list[float]) -> Spread | None:
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


@dataclass
class Series:
    """All counted runs of one peer on one table by so many connections."""

    peer: str
    table: str
    rows: int
    connections: int
    runs: list[Run] = field(default_factory=list)

    def spread(self, metric: Metric) -> Spread | None:
        return spread(metric.values(self.runs))

    def rate(self) -> Spread:
        """Rows a second."""
        found = spread([self.rows / run.wall for run in self.runs])
        assert found, "a series has runs"
        return found

    def used(self, cores: int) -> float:
        """The share of the machine that client and server used together."""
        return statistics.median((run.client_cpu + run.server_cpu) / (run.wall * cores) for run in self.runs)

    def disturbed(self) -> str | None:
        """Why nothing may be concluded from the runs, if something else kept the machine busy."""
        worst = max(self.runs, key=lambda run: (run.busy, run.others))
        if not worst.busy:
            return None
        by = plural(self.connections, "connection")
        at = f"round {self.runs.index(worst) + 1} of {self.peer} on {self.table} by {by}"
        return f"other processes took {worst.others:.0%} of the machine in {at}, also when it was repeated"

    def document(self) -> dict[str, object]:
        """The series as JSON: the spreads in the units of the names, and all runs in seconds and bytes."""
        spreads = {f"{metric.key} ({metric.unit})": self.spread(metric) for metric in METRICS}
        return {
            "peer": self.peer,
            "rows": self.rows,
            "connections": self.connections,
            "spreads": {name: dataclasses.asdict(found) for name, found in spreads.items() if found},
            "rows_a_second": dataclasses.asdict(self.rate()),
            "runs": [dataclasses.asdict(run) for run in self.runs],
        }


@dataclass(frozen=True)
class Comparison:
    """A series divided by another: the ratios of the medians by the metrics' keys, or why there are none."""

    over: str
    under: str
    ratios: dict[str, float]
    refused: list[str]


def compare(over: Series, under: Series) -> Comparison:
    refused = refusals(over, under)
    ratios = {}
    # What writes no files needs no memory for them.
    metrics = METRICS if under.spread(WRITTEN) else TIMES
    for metric in () if refused else metrics:
        first, second = over.spread(metric), under.spread(metric)
        if first and second and second.median > 0:
            ratios[metric.key] = first.median / second.median
    return Comparison(over.peer, under.peer, ratios, refused)


def refusals(*compared: Series) -> list[str]:
    """Why nothing may be concluded from these series together. Nothing, if it may."""
    return [reason for reason in (series.disturbed() for series in compared) if reason]


def tables_of(all_series: list[Series]) -> dict[str, list[Series]]:
    grouped: dict[str, list[Series]] = {}
    for series in all_series:
        grouped.setdefault(series.table, []).append(series)
    return grouped
