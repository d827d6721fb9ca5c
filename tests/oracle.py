"""Says whether a folder of Parquet files holds what a database holds, value for value.

    oracle.py postgres URL (--table SCHEMA.TABLE | --query SQL) --parquet DIR
    oracle.py sqlite FILE (--table TABLE | --query SQL) --parquet DIR

Shares no code with Sluice: the Parquet side is read by pyarrow, the other side by the database's
own client. It compares the number of rows and, for every column, the number of NULLs, the lowest and
the highest value, and either the exact sum or, for values that cannot be added, a sum of hashes over
the values' canonical texts, which does not depend on their order. For up to a million rows (or
ORACLE_ROW_LIMIT) it also compares a sum of hashes over whole rows, which shows whether values have
changed rows.

Exit code 0 if everything is equal, 1 if anything differs (each difference is printed), 2 if the
comparison could not be made.
"""

import argparse
import datetime
import decimal
import glob
import hashlib
import json
import os
import pickle
import sqlite3
import struct
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROW_HASH_LIMIT = int(os.environ.get("ORACLE_ROW_LIMIT", "1000000"))
NULL = "\\N"
SEPARATOR = "\x1f"
decimal.getcontext().prec = 200


# The kind as which a column is compared. Each kind has one canonical text per value, which both sides
# can compute without loss.
def kind_of(arrow_type):
    t = arrow_type
    if pa.types.is_dictionary(t):
        return kind_of(t.value_type)
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return ("list", kind_of(t.value_type))
    if pa.types.is_integer(t):
        return "integer"
    if pa.types.is_decimal(t):
        return "decimal"
    if pa.types.is_floating(t):
        return "float"
    if pa.types.is_boolean(t):
        return "bool"
    if pa.types.is_string(t) or pa.types.is_large_string(t):
        return "text"
    if pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t):
        return "bytes"
    if pa.types.is_date(t):
        return "date"
    if pa.types.is_time(t):
        return "time"
    if pa.types.is_timestamp(t):
        return "timestamptz" if t.tz else "timestamp"
    raise SystemExit(f"oracle: no comparison for the Arrow type {t}")


ADDED = ("integer", "decimal")


def canonical_decimal(value):
    value = decimal.Decimal(value)
    if not value.is_finite():
        return "NaN" if value.is_nan() else ("Infinity" if value > 0 else "-Infinity")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def canonical_time(value):
    return value.strftime("%H:%M:%S.%f")


def canonical_timestamp(value):
    return f"{value.year:04}-{value.month:02}-{value.day:02} " + canonical_time(value)


def canonical(kind, value):
    """A value as pyarrow gives it, as its kind's canonical text."""
    if value is None:
        return NULL
    if isinstance(kind, tuple):
        return "{" + SEPARATOR.join(canonical(kind[1], item) for item in value) + "}"
    if kind == "integer":
        return str(value)
    if kind == "decimal":
        return canonical_decimal(value)
    if kind == "float":
        return struct.pack(">d", value).hex()
    if kind == "bool":
        return "true" if value else "false"
    if kind == "bytes":
        return value.hex()
    if kind == "date":
        return value.isoformat()
    if kind == "time":
        return canonical_time(value)
    if kind in ("timestamp", "timestamptz"):
        return canonical_timestamp(value)
    return value


def hash_of(text):
    return int.from_bytes(hashlib.md5(text.encode()).digest()[:6], "big")


class Facts:
    """The facts about one column."""

    def __init__(self, kind):
        self.kind = kind
        self.nulls = 0
        self.low = None
        self.high = None
        self.total = 0

    def add(self, text):
        """Adds a value, as canonical text."""
        if text == NULL:
            self.nulls += 1
            return
        self.merge(0, text, text, decimal.Decimal(text) if self.adds(text) else hash_of(text))

    def merge(self, nulls, low, high, total):
        """Adds the facts about more values."""
        self.nulls += nulls
        self.total += total
        if low is not None and (self.low is None or self.order(low) < self.order(self.low)):
            self.low = low
        if high is not None and (self.high is None or self.order(high) > self.order(self.high)):
            self.high = high

    def adds(self, text):
        return self.kind in ADDED and text not in ("NaN", "Infinity", "-Infinity")

    def order(self, text):
        if self.kind in ADDED:
            return decimal.Decimal(text) if self.adds(text) else decimal.Decimal(0)
        return text.encode()

    def shown(self):
        total = canonical_decimal(self.total) if self.kind in ADDED else str(self.total)
        return {"nulls": self.nulls, "min": self.low, "max": self.high, "sum": total}


class Side:
    """One side of the comparison."""

    def __init__(self):
        self.rows = 0
        self.columns = {}
        self.row_hash = None


def parquet_files(folder):
    return sorted(glob.glob(os.path.join(folder, "**", "*.parquet"), recursive=True))


def batches(files):
    for file in files:
        with pq.ParquetFile(file) as parquet:
            yield from parquet.iter_batches(batch_size=65536)


def canonical_array(kind, array):
    """The canonical texts of a whole array, for the kinds that pyarrow itself can format."""
    if kind == "text":
        return array.cast(pa.string())
    if kind in ("bool", "date"):
        return array.cast(pa.string())
    if kind in ("timestamp", "timestamptz") and array.type.unit == "us":
        return pc.strftime(array, format="%Y-%m-%d %H:%M:%S")
    return None


def add_at_once(facts, array):
    """Adds a whole array, as if value by value, but at the speed of pyarrow and DuckDB."""
    if facts.kind in ADDED and (facts.kind == "integer" or array.type.bit_width <= 128):
        if array.null_count < len(array):
            bounds = pc.min_max(array)
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
            if facts.kind == "integer":
                array = array.cast(pa.decimal128(38, 0))
            else:
                array = array.cast(pa.decimal256(76, array.type.scale))
            total = pc.sum(array).as_py()
            facts.merge(array.null_count, canonical_decimal(low), canonical_decimal(high), total)
        else:
            facts.nulls += array.null_count
        return True
    texts = canonical_array(facts.kind, array)
    if texts is None:
        return False
    texts = pa.table({"t": texts})  # read by name in the query below
    low, high, nulls, total = duckdb.sql(
        "SELECT min(t), max(t), count(*) - count(t), coalesce(sum(('0x' || substr(md5(t), 1, 12))::ubigint), 0) FROM texts"
    ).fetchone()
    facts.merge(nulls, low, high, int(total))
    return True


def read_parquet(files, with_rows):
    side = Side()
    kinds = {}
    for file in files:
        with pq.ParquetFile(file) as parquet:
            side.rows += parquet.metadata.num_rows
            found = {field.name: kind_of(field.type) for field in parquet.schema_arrow}
            if kinds and list(kinds.items()) != list(found.items()):
                raise SystemExit(f"oracle: {file} has other columns than {files[0]}")
            kinds = found
    side.columns = {name: Facts(kind) for name, kind in kinds.items()}
    if with_rows:
        side.row_hash = 0
    for batch in batches(files):
        rows = None
        if with_rows:
            rows = [[] for _ in range(batch.num_rows)]
        for name, array in zip(batch.schema.names, batch.columns):
            facts = side.columns[name]
            if not with_rows and add_at_once(facts, array):
                continue
            for at, value in enumerate(array.to_pylist()):
                text = canonical(facts.kind, value)
                facts.add(text)
                if rows is not None:
                    rows[at].append(text)
        if rows is not None:
            side.row_hash += sum(hash_of(SEPARATOR.join(row)) for row in rows)
    return side


# PostgreSQL


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def postgres_text(kind, expression):
    """SQL for a value's canonical text; NULL stays NULL."""
    if isinstance(kind, tuple):
        element = postgres_text(kind[1], "e")
        return (
            f"CASE WHEN {expression} IS NOT NULL THEN '{{' || coalesce((SELECT string_agg(coalesce({element}, "
            f"'{NULL}'), E'\\x1f' ORDER BY o) FROM unnest({expression}) WITH ORDINALITY AS u (e, o)), '') || '}}' END"
        )
    if kind == "decimal":
        # Removes trailing zeros of the fraction; not every version has `trim_scale`.
        text = f"({expression})::numeric::text"
        return (
            f"CASE WHEN strpos({text}, '.') > 0 THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        )
    if kind == "float":
        return f"encode(float8send(({expression})::float8), 'hex')"
    if kind == "bytes":
        return f"encode({expression}, 'hex')"
    if kind == "time":
        return f"to_char(({expression})::interval, 'HH24:MI:SS.US')"
    if kind == "timestamptz":
        return f"to_char(({expression}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    if kind == "timestamp":
        return f"to_char({expression}, 'YYYY-MM-DD HH24:MI:SS.US')"
    if kind == "bool":
        return f"({expression})::text"
    if kind == "text":
        # `concat` uses the type's output function: a cast would strip the blanks of `char(n)`.
        return f"CASE WHEN {expression} IS NOT NULL THEN concat({expression}) END"
    return f"({expression})::text"


def postgres_facts(cursor, relation, name, facts):
    column = quoted(name)
    if facts.kind in ADDED:
        value = f"{column}::numeric"
        real = f"FILTER (WHERE {value} <> 'NaN'::numeric)"
        cursor.execute(
            f"SELECT count(*) FILTER (WHERE {column} IS NULL), min({value}) {real}, max({value}) {real}, "
            f"coalesce(sum({value}) {real}, 0) FROM {relation}"
        )
        nulls, low, high, total = cursor.fetchone()
        facts.low = None if low is None else canonical_decimal(low)
        facts.high = None if high is None else canonical_decimal(high)
        facts.nulls, facts.total = nulls, total
        return
    text = postgres_text(facts.kind, column)
    cursor.execute(
        f'SELECT count(*) FILTER (WHERE t IS NULL), min(t COLLATE "C"), max(t COLLATE "C"), '
        f"coalesce(sum(('x' || substr(md5(t), 1, 12))::bit(48)::bigint::numeric), 0) "
        f"FROM (SELECT {text} AS t FROM {relation}) AS texts"
    )
    facts.nulls, facts.low, facts.high, total = cursor.fetchone()
    facts.total = int(total)


def read_postgres(url, relation, kinds, with_rows):
    import psycopg

    side = Side()
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for setting in ("TimeZone = 'UTC'", "DateStyle = 'ISO, YMD'", "IntervalStyle = 'postgres'",
                        "bytea_output = 'hex'", "extra_float_digits = 1", "client_encoding = 'UTF8'"):
            cursor.execute(f"SET {setting}")
        cursor.execute(f"SELECT * FROM {relation} LIMIT 0")
        names = [column.name for column in cursor.description]
        cursor.execute(f"SELECT count(*) FROM {relation}")
        side.rows = cursor.fetchone()[0]
        for name in names:
            if name not in kinds:
                side.columns[name] = None
                continue
            side.columns[name] = Facts(kinds[name])
            postgres_facts(cursor, relation, name, side.columns[name])
        if with_rows and names and all(side.columns.values()):
            texts = ", ".join(
                f"coalesce({postgres_text(kinds[name], quoted(name))}, '{NULL}')" for name in names
            )
            cursor.execute(
                f"SELECT coalesce(sum(('x' || substr(md5(t), 1, 12))::bit(48)::bigint::numeric), 0) FROM "
                f"(SELECT array_to_string(ARRAY[{texts}], E'\\x1f') AS t FROM {relation}) AS texts"
            )
            side.row_hash = int(cursor.fetchone()[0])
    return side


# SQLite


def sqlite_text(kind, value):
    """A value as SQLite stores it, as its kind's canonical text."""
    if value is None:
        return NULL
    if kind == "decimal":
        return canonical_decimal(repr(value) if isinstance(value, float) else value)
    if kind == "float":
        return canonical(kind, float(value))
    if kind in ("timestamp", "timestamptz"):
        if isinstance(value, (int, float)):
            raise SystemExit("oracle: a SQLite timestamp that is a number")
        moment = datetime.datetime.fromisoformat(value)
        if moment.tzinfo:
            moment = moment.astimezone(datetime.timezone.utc)
        return canonical_timestamp(moment)
    if kind == "time":
        return canonical_time(datetime.time.fromisoformat(value))
    if kind == "date":
        return datetime.date.fromisoformat(value).isoformat()
    if kind == "bool":
        return canonical(kind, value not in (0, "0", "f", "false"))
    if kind == "bytes" and isinstance(value, str):
        return value.encode().hex()
    return str(value) if not isinstance(value, bytes) else value.hex()


def read_sqlite(path, relation, kinds, with_rows):
    side = Side()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    cursor = connection.execute(f"SELECT * FROM {relation}")
    names = [column[0] for column in cursor.description]
    side.columns = {name: Facts(kinds[name]) if name in kinds else None for name in names}
    if with_rows:
        side.row_hash = 0
    for row in cursor:
        side.rows += 1
        texts = []
        for name, value in zip(names, row):
            if side.columns[name] is None:
                continue
            text = sqlite_text(kinds[name], value)
            side.columns[name].add(text)
            texts.append(text)
        if with_rows:
            side.row_hash += hash_of(SEPARATOR.join(texts))
    connection.close()
    return side


def differences(source, parquet):
    found = []
    if source.rows != parquet.rows:
        found.append(f"rows: source {source.rows}, parquet {parquet.rows}")
    # A table without rows has no part files, and so no columns to compare.
    if parquet.columns or source.rows:
        if list(source.columns) != list(parquet.columns):
            found.append(f"columns: source {list(source.columns)}, parquet {list(parquet.columns)}")
    for name in source.columns:
        if source.columns[name] is None or name not in parquet.columns:
            continue
        left, right = source.columns[name].shown(), parquet.columns[name].shown()
        for fact, value in left.items():
            if value != right[fact]:
                found.append(f"column {name}: {fact}: source {value!r}, parquet {right[fact]!r}")
    if not found and source.row_hash != parquet.row_hash and source.columns:
        found.append("rows: every column is right by itself, but values have changed rows")
    return found


def remembered(path, kinds, with_rows):
    """What an earlier comparison of the same kind found in the source."""
    if not path or not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        *found, source = pickle.load(file)
    return source if found == [kinds, with_rows] else None


def relation_of(options):
    if options.query:
        return f"({options.query.rstrip().rstrip(';')}) AS source_rows"
    return options.table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=("postgres", "sqlite"))
    parser.add_argument("url", help="URL of the server, or path of the SQLite file")
    parser.add_argument("--table", help="as SQL spells it, quotes included")
    parser.add_argument("--query")
    parser.add_argument("--parquet", required=True, help="folder")
    parser.add_argument("--remember", help="file that keeps what is found in the source, for the next comparison with it")
    options = parser.parse_args()
    if bool(options.table) == bool(options.query):
        parser.error("give either --table or --query")
    if not os.path.isdir(options.parquet):
        print(f"oracle: no folder {options.parquet}")
        return 1
    files = parquet_files(options.parquet)
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    with_rows = rows <= ROW_HASH_LIMIT
    parquet = read_parquet(files, with_rows)
    kinds = {name: facts.kind for name, facts in parquet.columns.items()}
    read = read_postgres if options.source == "postgres" else read_sqlite
    source = remembered(options.remember, kinds, with_rows)
    if source is None:
        source = read(options.url, relation_of(options), kinds, with_rows)
        if options.remember:
            with open(options.remember, "wb") as file:
                pickle.dump((kinds, with_rows, source), file)
    if not with_rows:
        source.row_hash = parquet.row_hash
    elif not source.rows:
        source.row_hash = parquet.row_hash = 0
    found = differences(source, parquet)
    for line in found:
        print(f"differs: {line}")
    if not found:
        shown = {name: facts.shown() for name, facts in parquet.columns.items()}
        print(json.dumps({"rows": parquet.rows, "files": len(files), "columns": shown}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
