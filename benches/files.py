"""Measures how a CSV or a Parquet file becomes Parquet: Sluice beside DuckDB, in alternating rounds on one machine.

    files.py --sluice PROGRAM [--format csv|parquet] [--rows N] [--rounds N] [--folder FOLDER]

The file has numbers, days, moments, truth values and texts, a tenth of which have new lines and quotes in them. Each
round runs both on one core and on two: Sluice as one task, or as two tasks that share the file's ranges; DuckDB with as
many threads. Both write Parquet with zstd of level 1. Prints a table of medians, and DuckDB's share of each.

The Python that runs it needs `duckdb`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROWS = """
SELECT i AS id, (i * 7919) % 1000003 AS user_id, 'user ' || (i % 5000) AS name,
  (((i * 31) % 1000000) / 100)::DECIMAL(12, 2) AS amount, (DATE '2020-01-01' + (i % 2000)::INT) AS day,
  strftime(TIMESTAMP '2026-01-01' + INTERVAL (i) SECOND, '%Y-%m-%dT%H:%M:%SZ') AS moment, (i % 2 = 0) AS ok,
  CASE i % 10 WHEN 0 THEN 'line one' || chr(10) || 'line "two", ' || i WHEN 1 THEN NULL WHEN 2 THEN ''
    ELSE 'plain note number ' || i END AS note
FROM range({rows}) t(i)
"""
DUCK = """
import duckdb, sys
connection = duckdb.connect(config={{"threads": {threads}}})
connection.execute("SET preserve_insertion_order = false")
connection.execute(
    "COPY (FROM '{file}') TO '{parquet}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU and of the clock, and bytes of Parquet."""

    cpu: float
    wall: float
    written: int


def make(file: Path, rows: int) -> None:
    import duckdb

    connection = duckdb.connect()
    options = "HEADER, DELIMITER ','" if file.suffix == ".csv" else "FORMAT parquet, COMPRESSION snappy"
    connection.execute(f"COPY ({ROWS.format(rows=rows)}) TO '{file}' ({options})")


def sluice(program: Path, source: Path, cores: int, folder: Path) -> list[str]:
    job = {
        "name": "bench",
        "source": {"url": f"file://{source}"},
        "target": {"table": f"file://{folder}/warehouse/table"},
        "bucket": f"file://{folder}/bucket",
        "limits": {"max_tasks": cores, "finish_within": "100ms"},
    }
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    return [str(program), "run", "--json", str(file)]


def duckdb_command(source: Path, cores: int, folder: Path) -> list[str]:
    (folder / "warehouse").mkdir()
    parquet = folder / "warehouse" / "table.parquet"
    return [sys.executable, "-c", DUCK.format(threads=cores, file=source, parquet=parquet)]


def measure(command: list[str], folder: Path) -> Cost:
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    if status != 0:
        raise SystemExit(f"error: run {command[0]}: it ended with {os.waitstatus_to_exitcode(status)}")
    files = (folder / "warehouse").rglob("*.parquet")
    return Cost(used.ru_utime + used.ru_stime, wall, sum(file.stat().st_size for file in files))


def rounds(program: Path, source: Path, count: int, scratch: Path) -> dict[tuple[str, int], list[Cost]]:
    costs: dict[tuple[str, int], list[Cost]] = {}
    for number in range(count):
        peers = ["sluice", "duckdb"] if number % 2 == 0 else ["duckdb", "sluice"]
        for cores in (1, 2):
            for peer in peers:
                folder = scratch / "run"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                if peer == "sluice":
                    command = sluice(program, source, cores, folder)
                else:
                    command = duckdb_command(source, cores, folder)
                costs.setdefault((peer, cores), []).append(measure(command, folder))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", required=True, type=Path, help="the program, built for release")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files lie meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-files-", dir=options.folder) as scratch:
        source = Path(scratch) / f"table.{options.format}"
        make(source, options.rows)
        costs = rounds(options.sluice.resolve(), source, options.rounds, Path(scratch))
        size = source.stat().st_size / 1e6
        print(f"{options.rows:,} rows, {size:,.0f} MB of {options.format}, {options.rounds} rounds, medians")
    print(f"{'':8} {'cores':>5} {'CPU s':>7} {'wall s':>7} {'MB':>6}")
    medians = {
        key: Cost(*(statistics.median(getattr(cost, name) for cost in all) for name in ("cpu", "wall", "written")))
        for key, all in costs.items()
    }
    for (peer, cores), cost in sorted(medians.items(), key=lambda item: (item[0][1], item[0][0])):
        print(f"{peer:8} {cores:5} {cost.cpu:7.2f} {cost.wall:7.2f} {cost.written / 1e6:6.0f}")
    for cores in (1, 2):
        ours, theirs = medians[("sluice", cores)], medians[("duckdb", cores)]
        print(f"sluice takes {ours.cpu / theirs.cpu:.2f} of duckdb's CPU and {ours.wall / theirs.wall:.2f} of its time ({cores})")


if __name__ == "__main__":
    main()
