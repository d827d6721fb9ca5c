"""The tables that are copied, which are those of `tests/scale/`."""

from __future__ import annotations

import shutil
from pathlib import Path

from failure import Failure, execute
from server import Server
from words import say

SCRIPTS = Path(__file__).resolve().parent.parent / "tests" / "scale"
FULL = 5_000_000
NAMES = ("events", "lineitem")
# Bytes of the server's log: its `max_wal_size`, and what is written while a checkpoint runs.
MOST_LOG = 10_000_000_000


def make(server: Server, name: str, rows: int, python: Path, folder: Path) -> int:
    """Makes a table if the server does not have it in this size, and returns how many rows it has.

    `rows` are those of `events`. `lineitem` grows with them: it has 6,001,215 beside 5,000,000.
    """
    mark = f"made for {rows} rows of events"
    if server.query(f"SELECT obj_description(to_regclass('{name}'), 'pg_class')") != mark:
        say(f"making {name}")
        check_space(rows, folder)
        if name == "events":
            make_events(server, rows)
        else:
            make_lineitem(server, rows, python, folder)
        server.query(f"COMMENT ON TABLE {name} IS '{mark}'")
        server.query("CHECKPOINT")
    return int(server.query(f"SELECT count(*) FROM {name}"))


def make_events(server: Server, rows: int) -> None:
    script = server.psql("-o", "/dev/null", "-v", f"rows={rows}", "-f", SCRIPTS / "events.sql")
    execute("make the table `events`", script, server.where())


def make_lineitem(server: Server, rows: int, python: Path, folder: Path) -> None:
    step = "make the table `lineitem`"
    file = folder / "lineitem.csv"
    hint = f"`{python}` makes its rows; delete its environment, so that it is installed anew"
    execute(step, [python, SCRIPTS / "lineitem.py", str(rows / FULL), file], hint)
    execute(step, server.psql("-f", SCRIPTS / "lineitem.sql"), server.where())
    execute(step, server.psql("-c", f"\\copy lineitem FROM '{file}' (FORMAT csv)"), server.where())
    execute(step, server.psql("-f", SCRIPTS / "lineitem_keys.sql"), server.where())
    file.unlink()


def check_space(rows: int, folder: Path) -> None:
    """A table takes 250 bytes a row at most, its log as much, up to a limit, and the file that it is read from less."""
    needed = 400 * rows + min(250 * rows, MOST_LOG) + 500_000_000
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(
            "make the tables",
            f"`{folder}` has {free / 1e9:.1f} GB left, and a table needs {needed / 1e9:.1f} GB",
            "name a folder on a larger disk with `--keep`, or take fewer rows",
        )
