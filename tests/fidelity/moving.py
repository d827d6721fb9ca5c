"""Databases to read from, and runs of the real program over them."""

import glob
import json
import os
import pathlib
import re
import subprocess

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

import exact

# Settings that an administrator may have made for a role or a database.
SETTINGS = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "xmlbinary": "hex",
    "search_path": "pg_temp",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
}
PLAIN = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "search_path": "public",
}


class Database:
    """A database for this program, which is dropped at the end."""

    def __init__(self, server, encoding="UTF8"):
        self.server, self.name = server, f"fidelity_{os.getpid()}_{encoding.lower()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.name}")
            connection.execute(
                f"CREATE DATABASE {self.name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            )

    @property
    def url(self):
        return re.sub(r"/[^/]*$", f"/{self.name}", self.server)

    def connect(self):
        connection = psycopg.connect(self.url, autocommit=True, client_encoding="UTF8")
        for setting, value in PLAIN.items():
            connection.execute(f"SET {setting} = {value if setting == 'search_path' else repr(value)}")
        return connection

    def set(self, settings):
        """Applies half of the settings to the database, and half to the role that reads."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            for at, (setting, value) in enumerate(settings.items()):
                whose = [f"DATABASE {self.name}", f"ROLE CURRENT_USER IN DATABASE {self.name}"][at % 2]
                connection.execute(f"ALTER {whose} SET {setting} = '{value}'")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


class Run:
    """A job for many tables, carried out by the real program."""

    def __init__(self, program, url, cases, on_invalid, folder):
        self.folder = pathlib.Path(folder)
        tables = []
        for case in cases:
            column = {"on_invalid": on_invalid}
            if case.wanted:
                column["type"] = case.wanted
            tables.append({"table": f"public.{case.table}", "columns": {"v": column}})
        job = {
            "name": "fidelity",
            "source": {"url": "${SOURCE_URL}"},
            "tables": tables,
            "target": {"dataset": f"file://{self.folder}/warehouse"},
            "bucket": f"file://{self.folder}/bucket",
        }
        self.job = self.folder / "job.yaml"
        self.job.write_text(json.dumps(job))
        self.environment = {**os.environ, "SOURCE_URL": url, "NO_COLOR": "1"}
        self.environment.pop("RUST_LOG", None)
        self.program = program
        self.said = ""

    def answer(self, command):
        ended = subprocess.run(
            [self.program, command, "--json", self.job], env=self.environment, capture_output=True, text=True, cwd=self.folder
        )
        self.said += ended.stdout + ended.stderr
        try:
            return json.loads(ended.stdout)
        except ValueError:
            raise SystemExit(f"sluice {command} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}") from None

    def documents(self):
        """Everything that was printed or written, except the rows."""
        texts = [self.said]
        for path in glob.glob(f"{self.folder}/**/*", recursive=True):
            if os.path.isfile(path) and not path.endswith(".parquet"):
                texts.append(pathlib.Path(path).read_text(errors="replace"))
        return "\n".join(texts)

    def counted(self):
        """How many values became NULL according to the receipts, by table."""
        [path] = glob.glob(f"{self.folder}/bucket/runs/*/manifest.json") or [None]
        if path is None:
            return {}
        names = {table["index"]: table["name"].removeprefix("public.") for table in read(path)["tables"]}
        found = dict.fromkeys(names.values(), 0)
        for path in glob.glob(f"{self.folder}/bucket/runs/*/receipts/**/*.json", recursive=True):
            receipt = read(path)
            found[names[receipt["table"]]] += receipt.get("invalid", {}).get("v", 0)
        return found

    def hints(self):
        """The hint of each failure of a task, by its message."""
        paths = glob.glob(f"{self.folder}/bucket/runs/*/failures/**/*.json", recursive=True)
        return {failure["message"]: failure.get("hint") for failure in map(read, paths)}

    def copy(self, case):
        """The values that arrived, by row."""
        found = {}
        for file in glob.glob(f"{self.folder}/warehouse/{case.table}/*.parquet"):
            table = pq.read_table(file)
            rows = zip(table["id"].to_pylist(), (value for chunk in table["v"].chunks for value in plain(chunk)))
            for row, value in rows:
                if row in found:
                    raise SystemExit(f"{case.name}: row {row} arrived twice")
                found[row] = value
        return found


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def plain(array):
    """Numbers instead of Python's dates and times, which have a smaller range than Arrow's."""
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        items = plain(array.values)
        offsets = array.offsets.to_pylist()
        return [
            items[low:high] if there else None
            for low, high, there in zip(offsets, offsets[1:], array.is_valid().to_pylist())
        ]
    if pa.types.is_date(kind):
        return array.cast(pa.int32()).to_pylist()
    if pa.types.is_time64(kind):
        if kind.unit != "us":
            raise SystemExit(f"a time in {kind.unit}")
        return array.cast(pa.int64()).to_pylist()
    if pa.types.is_timestamp(kind):
        if kind.unit != "us":
            raise SystemExit(f"a timestamp in {kind.unit}")
        return array.cast(pa.int64()).to_pylist()
    if pa.types.is_floating(kind):
        return [None if value is None else exact.bits(value) for value in array.to_pylist()]
    return array.to_pylist()
