"""What Sluice and other programs turn values into that are easily changed.

The other programs (the peers) are in a separate environment outside of the project, in the folder
SCALE_PEERS.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid
import venv

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "fidelity"))

import exact
import outcomes
from cases import Case
from exact import INVALID

import program

PEERS = {
    "connectorx": "connectorx==0.4.6",
    "polars": "polars==2.1.0",
    "adbc": "adbc-driver-postgresql==1.13.0 adbc-driver-manager==1.13.0",
    "duckdb": "duckdb==1.5.5 duckdb-extension-postgres-scanner==1.5.5",
    "psycopg": "psycopg[binary]==3.3.9",
}
CASES = [
    ("numeric NaN", Case("numeric_nan", "numeric", "BIGNUMERIC", ["NaN"], kind="decimal")),
    ("numeric without size", Case("numeric_plain", "numeric", "BIGNUMERIC", ["12345678901234567890.123456789", "0.1"], kind="decimal")),
    ("numeric(38,10)", Case("numeric_38_10", "numeric(38,10)", "BIGNUMERIC", ["1234567890123456789012345678.0123456789"], kind="decimal")),
    ("numeric(60,20)", Case("numeric_60_20", "numeric(60,20)", None, ["1234567890123456789012345678901234567890.12345678901234567890"], kind="decimal")),
    ("numeric(60,20), asked as text", Case("numeric_text", "numeric(60,20)", "STRING", ["1234567890123456789012345678901234567890.12345678901234567890"], wanted="STRING")),
    ("timestamptz of microseconds", Case("moment", "timestamptz", "TIMESTAMP", ["2024-02-29 12:34:56.123456+05:30"], kind="moment")),
    ("timestamptz ±infinity", Case("moment_infinity", "timestamptz", "TIMESTAMP", ["infinity", "-infinity"], kind="moment")),
    ("timestamp of the year 1", Case("stamp", "timestamp", "DATETIME", ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"], kind="moment")),
    ("date ±infinity", Case("date_infinity", "date", "DATE", ["infinity", "-infinity"], kind="date")),
    ("date BC", Case("date_bc", "date", "DATE", ["0001-12-31 BC", "4713-01-01 BC"], kind="date")),
    ("time 24:00:00", Case("midnight", "time", "TIME", ["24:00:00"], kind="time")),
    ("int[] with NULL", Case("ints", "int[]", "INT64[]", ["{1,NULL,3}"], kind=["integer", ","])),
    ("int[] from 0", Case("ints_bound", "int[]", "INT64[]", ["[0:2]={1,2,3}"], kind=["integer", ","])),
    ("text[][]", Case("matrix", "text[][]", "JSON", ["{{a,b},{c,NULL}}"], kind=["text", ","])),
    ("uuid[]", Case("uuids", "uuid[]", "STRING[]", ["{0cf81f90-3840-2e85-910c-fad17d0051b3}"], kind=["text", ","])),
    ("jsonb 1.10 and 23 digits", Case("jsonb", "jsonb", "JSON", ['{"a": 1.10, "n": 12345678901234567890123}'])),
    ("json, keys twice", Case("json", "json", "JSON", ['{"a":1,  "a":2}'])),
    ("JSON null", Case("json_null", "jsonb", "JSON", ["null"])),
    ("interval", Case("interval", "interval", "INTERVAL", ["1 year 2 mons 3 days 04:05:06.789", "-1 mons +1 day -00:00:01"], kind="interval")),
    ("inet", Case("inet", "inet", "STRING", ["10.0.0.1/8", "::1/128"], asked="v::text")),
    ("bytea", Case("bytea", "bytea", "BYTES", ["\\x00ff10"], kind="bytes")),
    ("enum", Case("enum", "mood", "STRING", ["happy"], setup="CREATE TYPE mood AS ENUM ('happy')")),
    ("uuid", Case("uuid", "uuid", "STRING", ["0cf81f90-3840-2e85-910c-fad17d0051b3"])),
    ("tstzrange", Case("tstzrange", "tstzrange", "STRING", ["[2024-01-01,2024-02-01)", "empty"])),
    ("money", Case("money", "money", "NUMERIC", ["-1234.56"], kind="decimal", asked="v::numeric")),
    ("timetz", Case("timetz", "timetz", "STRING", ["12:00:00+02", "00:00:00-12"])),
    ("bit varying", Case("varbit", "bit varying(12)", "STRING", ["101", ""])),
    ("xml", Case("xml", "xml", "STRING", ["<a/>"])),
    ("char(5)", Case("bpchar", "char(5)", "STRING", ["ab"])),
    ("float NaN, infinity, -0", Case("float", "float8", "FLOAT64", ["NaN", "-Infinity", "-0"], kind="float")),
    ("real 0.1", Case("real", "float4", "FLOAT64", ["0.1", "1e-45"], kind="single")),
    ("composite", Case("composite", "pair", "JSON", ['(1,"x, y")'], kind={"a": "integer", "b": "text"}, setup="CREATE TYPE pair AS (a int, b text)")),
    ("empty text, emoji", Case("text", "text", "STRING", ["", "😀 émoji 𝄞", "a\tb\nc\"d"])),
]


def environment():
    """The Python that has the peers, and the peers that could be installed."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    folder = pathlib.Path(os.environ.get("SCALE_PEERS", cache / "sluice/peers"))
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    found = []
    for peer, packages in PEERS.items():
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pyarrow==26.0.1", *packages.split()]
        if subprocess.run(install).returncode == 0:
            found.append(peer)
        else:
            print(f"{peer} cannot be installed here", file=sys.stderr)
    return python, found


def values_of(path):
    """The column's Arrow type and its values, with dates and times as numbers."""
    table = pq.read_table(path)
    column = table.column(table.num_columns - 1).combine_chunks()
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        column = column.cast(pa.int64())
        scale = {"ns": 1000, "us": 1, "ms": None, "s": None}[kind.unit]
        return kind, [None if value is None else value / scale if value % scale else value // scale for value in column.to_pylist()]
    if pa.types.is_date32(kind):
        return kind, column.cast(pa.int32()).to_pylist()
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    return kind, column.to_pylist()


def right(case, text, value, kind):
    """Whether a value of any type is exactly the value of the server's text."""
    if isinstance(value, uuid.UUID):
        value = str(value)
    if isinstance(value, exact.Decimal) and text != "NaN":
        return value == exact.Decimal(text)
    if isinstance(value, str):
        if value == text or (case.kind == "decimal" and value.lower() == text.lower()):
            return True
        if case.kind == "interval":
            return outcomes.same(value, outcomes.expected("INTERVAL", "interval", text))
        if case.kind == "decimal" and text != "NaN":
            try:
                return exact.Decimal(value) == exact.Decimal(text)
            except ArithmeticError:
                return False
        return isinstance(case.kind, (list, dict)) and outcomes.same(value, outcomes.expected("JSON", case.kind, text))
    if case.kind == "decimal":
        return isinstance(value, int) and value == exact.Decimal(text)
    if case.kind in ("float", "single"):
        return exact.bits(value) == exact.float_of(text, case.kind == "single")
    if case.kind in ("moment", "date", "time"):
        of = {"moment": exact.moment_of, "date": exact.date_of, "time": exact.micros_of}[case.kind]
        if of(text) is INVALID and case.kind == "date" and text.endswith("BC"):
            year, month, day = (int(part) for part in text.removesuffix(" BC").split("-"))
            return value == exact.days_of(1 - year, month, day)
        return value == of(text)
    if case.kind == "bytes":
        return value == bytes.fromhex(text.removeprefix("\\x"))
    if isinstance(case.kind, list):
        items, usual = exact.array_of(text)
        return usual and nested(value, items)
    if isinstance(case.kind, dict):
        return isinstance(value, dict) and [str(item) for item in value.values()] == exact.fields_of(text)
    return False


def nested(value, items):
    if isinstance(items, list):
        return isinstance(value, list) and len(value) == len(items) and all(map(nested, value, items))
    return value is None if items is None else str(value) == items


def verdict(case, texts, path, failed):
    """One cell of the table."""
    if case.name in failed:
        return "error"
    kind, values = values_of(path)
    for text, value in zip(texts, values):
        if value is None:
            return "**NULL, not counted**"
        if not right(case, text, value, kind):
            spelled = "opaque bytes" if "storage_type=binary" in str(kind) else kind
            return f"**{spelled}: `{str(value)[:60]}`**"
    return "exact, as text" if isinstance(value, str) and case.target not in ("STRING", "JSON", None) else "exact"


def of_sluice(case, texts, run, answer, counted):
    tables = {table["table"].removeprefix("public."): table for table in answer["tables"]}
    state = tables[case.table]["state"]
    if state == "refused":
        return "refused by the plan"
    if state != "committed":
        return f"**{state}**"
    found = run.copy(case)
    ways = set()
    for row, text in enumerate(texts):
        wanted = outcomes.expected(case.target, case.kind, text)
        if wanted is INVALID and found[row] is None:
            ways.add("counted")
        else:
            ways.add("exact" if outcomes.same(found[row], wanted) else f"**{found[row]!r:.40}**")
    if ("counted" in ways) != (counted[case.table] > 0):
        return "**not counted**"
    return ", ".join(sorted(ways))


def main():
    python, peers = environment()
    chosen = [case for _, case in CASES]
    table = {}
    with outcomes.Database(program.URL) as database, tempfile.TemporaryDirectory(prefix="peers-") as folder:
        folder = pathlib.Path(folder)
        texts = {}
        with database.connect() as connection:
            for case in chosen:
                if case.setup:
                    connection.execute(case.setup)
                outcomes.write(connection, case, case.values)
                texts[case.name] = list(outcomes.truth(connection, case).values())
        run = outcomes.Run(program.PROGRAM, database.url, chosen, "null", folder)
        answer, counted = run.answer("run"), None
        counted = run.counted()
        table["Sluice"] = [of_sluice(case, texts[case.name], run, answer, counted) for case in chosen]
        for peer in peers:
            place = folder / peer
            place.mkdir()
            failed = {}
            for case in chosen:
                command = [python, HERE / "peers.py", peer, database.url, case.table, place, "v"]
                ended = subprocess.run(command, capture_output=True, text=True)
                # A program that dies has not reported what failed.
                failures = json.loads(ended.stdout.splitlines()[-1]) if ended.stdout.strip() else {"v": f"exit code {ended.returncode}"}
                if "v" in failures:
                    failed[case.name] = failures["v"]
                    print(f"{peer}: {case.declared}: {failures['v']}", file=sys.stderr)
                else:
                    (place / "v.parquet").rename(place / f"{case.name}.parquet")
            table[peer] = [verdict(case, texts[case.name], place / f"{case.name}.parquet", failed) for case in chosen]
    program.heading("value", *table)
    for at, (label, _) in enumerate(CASES):
        program.line(label, *(cells[at] for cells in table.values()))
    wrong = [cell for cell in table["Sluice"] if cell.startswith("**")]
    if wrong:
        raise SystemExit("Sluice changes a value")


if __name__ == "__main__":
    main()
