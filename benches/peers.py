"""Who copies a table, and by which commands.

A peer has a name, commands that are to run at the same time, and afterwards the number of rows that they copied. It
writes its Parquet files into `table/` of the folder that it is given.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from pathlib import Path

from failure import Failure, execute
from server import Server
from words import plural

DUCK = Path(__file__).resolve().parent / "duck.py"


class Peer(ABC):
    """One who copies. `writes` says whether Parquet files are left."""

    name: str
    writes = True

    @abstractmethod
    def commands(self, server: Server, table: str, connections: int, folder: Path) -> list[list[str]]:
        """The commands that copy the table by so many connections. What they print goes to `0.log`, `1.log`, ..."""

    @abstractmethod
    def rows(self, folder: Path) -> int:
        """How many rows the commands copied."""


class Sluice(Peer):
    """The whole job, from the command to the committed table, by the strategy that Sluice chooses."""

    name = "sluice"

    def __init__(self, program: Path, python: Path, uuid_text: bool) -> None:
        self.program = program
        self.uuid_text = uuid_text
        self._python = python

    def commands(self, server: Server, table: str, connections: int, folder: Path) -> list[list[str]]:
        job = {
            "name": "bench",
            "source": {"url": server.url, "table": f"public.{table}"},
            "target": {"table": f"file://{folder}/table/{table}"},
            "bucket": f"file://{folder}/bucket",
            "limits": {"max_connections": connections, "max_tasks": connections, "finish_within": "100ms"},
        }
        if table == "events" and not self.uuid_text:
            # DuckDB's files hold a uuid as 16 bytes.
            job["columns"] = {"session": {"type": "BYTES"}}
        file = folder / "job.yaml"
        file.write_text(json.dumps(job, indent=2))
        return [[str(self.program), "run", "--json", str(file)]]

    def rows(self, folder: Path) -> int:
        return count(self._python, folder)

    def cut(self, folder: Path) -> str:
        """How the table of the last run was cut, in words."""
        answer = json.loads((folder / "0.log").read_text())
        units, tasks = plural(answer["units"], "unit"), plural(answer["tasks"], "task")
        return f"by `{answer['tables'][0]['strategy']}` into {units} for {tasks}"


class DuckDB(Peer):
    """DuckDB's extension for PostgreSQL, which writes one Parquet file."""

    name = "duckdb"

    def __init__(self, python: Path) -> None:
        self._python = python

    def commands(self, server: Server, table: str, connections: int, folder: Path) -> list[list[str]]:
        (folder / "table").mkdir()
        file = folder / "table" / f"{table}.parquet"
        return [[str(part) for part in (self._python, DUCK, "copy", server.port, table, file, connections)]]

    def rows(self, folder: Path) -> int:
        return count(self._python, folder)


class DuckDBAlone(Peer):
    """The start of DuckDB without a table, which is part of what DuckDB is measured with."""

    name = "start of duckdb"
    writes = False

    def __init__(self, python: Path) -> None:
        self._python = python

    def commands(self, server: Server, table: str, connections: int, folder: Path) -> list[list[str]]:
        return [[str(self._python), str(DUCK), "start"]]

    def rows(self, folder: Path) -> int:
        return 0


class Copy(Peer):
    """A bare COPY on each connection, of equally many pages, to /dev/null: no reader of the whole table needs less."""

    name = "copy"
    writes = False

    def commands(self, server: Server, table: str, connections: int, folder: Path) -> list[list[str]]:
        pages = int(server.query(f"SELECT pg_relation_size('{table}') / current_setting('block_size')::int"))
        commands = []
        for part in range(connections):
            begin, end = pages * part // connections, pages * (part + 1) // connections
            rows = f"SELECT * FROM {table} WHERE ctid >= '({begin},0)' AND ctid < '({end},0)'"
            # Without -q, so that it prints how many rows it copied.
            commands.append([str(server.programs / "psql"), "-X", "-v", "ON_ERROR_STOP=1", server.url])
            commands[-1] += ["-c", f"\\copy ({rows}) TO '/dev/null' (FORMAT binary)"]
        return commands

    def rows(self, folder: Path) -> int:
        said = "".join(log.read_text() for log in folder.glob("*.log"))
        return sum(int(rows) for rows in re.findall(r"^COPY (\d+)$", said, re.MULTILINE))


def count(python: Path, folder: Path) -> int:
    """Another program than Sluice counts, also what Sluice wrote."""
    command: list[str | Path] = [python, DUCK, "count", folder / "table"]
    counted = execute("count the rows that were written", command, "run the peer by hand, and look at what it wrote")
    return int(counted)


def check(peer: Peer, table: str, folder: Path, expected: int) -> None:
    found = peer.rows(folder)
    if found != expected:
        raise Failure(
            f"check what {peer.name} copied of `{table}`",
            f"it has {found:,} rows, and the table {expected:,}",
            "a benchmark of a wrong result means nothing; report it with the versions of the programs",
        )
