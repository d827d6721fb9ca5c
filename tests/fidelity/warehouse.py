#!/usr/bin/env python3
"""Moves values of every type into BigQuery by every write disposition, reads them with Google's own
client, and judges each as outcomes.py does.

    warehouse.py URL --sluice PROGRAM --bigquery ENDPOINT --storage ENDPOINT [--values 60]

BigQuery is local-bigquery here. Left out is what it gets wrong by itself: BIGNUMERIC is read wrongly
from Parquet, BYTES are not loaded with a schema, shapes in GeoJSON are not read, no text that BigQuery
takes becomes an INTERVAL, and a MERGE does not know the arguments of PARSE_JSON. The requests for those columns are compared word for word by tests
of `crates/targets`.
"""

import argparse
import collections
import datetime
import decimal
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

import exact
from cases import CASES
from exact import INVALID
from moving import Database
from outcomes import Outcome, expected, generated, install, truth, write

EPOCH = datetime.datetime(1970, 1, 1)
# Types that no load from Parquet fills, so a statement converts them.
CONVERTED = ("JSON",)
# One case or a few of each type of BigQuery, and of each way to it.
CHOSEN = (
    "float8 int8_as_float64 numeric_12_2 numeric_as_numeric bool text uuid interval_as_text "
    "date time timestamp timestamptz int8_array text_array numeric_array float8_array date_array timestamptz_array time_array "
    "json jsonb hstore text_matrix"
).split()


class Warehouse:
    def __init__(self, options, database, folder):
        self.options, self.folder = options, folder
        self.environment = {
            **os.environ,
            "SOURCE_URL": database.url,
            "NO_COLOR": "1",
            "SLUICE_BIGQUERY_ENDPOINT": options.bigquery,
            "STORAGE_EMULATOR_HOST": options.storage,
        }
        self.environment.pop("RUST_LOG", None)
        self.client = bigquery.Client(
            project="shop", credentials=AnonymousCredentials(), client_options=ClientOptions(api_endpoint=options.bigquery)
        )

    def run(self, cases, disposition, name="of_{}", where=None):
        """Moves the tables. Returns how many values became NULL, by the case's table."""
        tables = []
        for case in cases:
            column = {"on_invalid": "null"}
            if case.wanted:
                column["type"] = case.wanted
            table = {"table": f"public.{case.table}", "columns": {"v": column}, "name": name.format(case.name)}
            if where:
                table["where"] = where
            tables.append(table)
        job = {
            "name": "warehouse",
            "source": {"url": "${SOURCE_URL}"},
            "tables": tables,
            "target": {"dataset": "bigquery://shop/sales", "write_disposition": disposition},
            "bucket": "gs://lake/fidelity",
        }
        path = self.folder / f"{disposition}.yaml"
        path.write_text(json.dumps(job))
        ended = subprocess.run(
            [self.options.sluice, "run", "--json", path], env=self.environment, capture_output=True, text=True, cwd=self.folder
        )
        try:
            answer = json.loads(ended.stdout)
        except ValueError:
            raise SystemExit(f"{disposition} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}") from None
        failed = [f"{table['table']}: {table['error']}" for table in answer["tables"] if table["state"] != "committed"]
        if failed:
            raise SystemExit(f"{disposition}: {failed}")
        return {table["table"].removeprefix("public."): table["invalid"].get("v", 0) for table in answer["tables"]}

    def rows(self, case, table):
        """The values of each row that the table has, by id. Google's client parses JSON; a document of a
        PostgreSQL type of its own is compared as text."""
        found = collections.defaultdict(list)
        rows = self.client.list_rows(self.client.get_table(f"shop.sales.{table}"))
        [kind] = [field for field in rows.schema if field.name == "v"]
        for row in rows:
            value = row["v"]
            if kind.field_type == "JSON" and kind.mode != "REPEATED" and not is_document(case):
                value = None if value is None else json.dumps(value, ensure_ascii=False)
            found[row["id"]].append(plain(kind, value))
        return found


def plain(field, value):
    """A value as outcomes.py compares it."""
    if value is None:
        return None
    if field.mode == "REPEATED":
        return [one(field.field_type, item) for item in value]
    return one(field.field_type, value)


def one(kind, value):
    match kind:
        case "DATE":
            return (value - EPOCH.date()).days
        case "TIME":
            return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
        case "DATETIME" | "TIMESTAMP":
            since = value.replace(tzinfo=None) - EPOCH
            return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        case "FLOAT" | "FLOAT64":
            return exact.bits(value)
        case "NUMERIC" | "BIGNUMERIC":
            return decimal.Decimal(value)
        case _:
            return value


class Documents(Outcome):
    """JSON, which BigQuery keeps by its value: white space, the order of keys and all but one of equal
    keys are lost."""

    def judge(self, texts, found, counted):
        for row, text in texts.items():
            value, wanted = found.get(row), None if text is None else json.loads(text)
            if value == wanted:
                self.exact += text is not None
            else:
                self.fail(f"row {row}: {text!r:.200} became {value!r:.200}")


def is_held(text):
    """Whether JSON of BigQuery holds the document: each number is one of 64 bits or a double, and the texts
    are Unicode. A load of others is refused."""

    def number(digits):
        if decimal.Decimal(digits) != decimal.Decimal(repr(float(digits))):
            raise ValueError
        return float(digits)

    def whole(digits):
        if not -(2**63) <= int(digits) < 2**64:
            raise ValueError
        return int(digits)

    try:
        json.dumps(json.loads(text, parse_float=number, parse_int=whole), ensure_ascii=False).encode()
    except (ValueError, decimal.InvalidOperation):
        return False
    return "\\u0000" not in text


def is_document(case):
    """Whether both sides can be read as the same document: without equal keys, and numbers that Google's
    client does not round."""
    return case.target == "JSON" and case.kind == "text" and case.wanted is None


def judge(outcomes, case, texts, found, counted, times, what):
    outcome = outcomes.setdefault(case.name, (Documents if is_document(case) else Outcome)(case))
    failures = len(outcome.failures)
    for row, values in found.items():
        if len(values) != times or any(value != values[0] for value in values):
            outcome.fail(f"row {row} is there {len(values)} times")
    outcome.counted = 0
    values = {row: values[0] for row, values in found.items()}
    for row, value in values.items():
        # BigQuery has no NULL arrays.
        if value == [] and (texts.get(row) is None or expected(case.target, case.kind, texts[row]) is INVALID):
            values[row] = None
    outcome.judge(texts, values, counted)
    outcome.failures[failures:] = [f"{what}: {failure}" for failure in outcome.failures[failures:]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a server where databases may be created")
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    parser.add_argument("--bigquery", required=True, help="where local-bigquery listens")
    parser.add_argument("--storage", required=True, help="where fake-gcs-server listens")
    parser.add_argument("--values", type=int, default=40, help="values of each type")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", action="append", help="a case's name")
    options = parser.parse_args()
    chosen = [case for case in CASES if case.name in (options.only or CHOSEN)]
    outcomes = {}
    with Database(options.url) as database, tempfile.TemporaryDirectory(prefix="warehouse-") as folder:
        warehouse = Warehouse(options, database, pathlib.Path(folder))
        with database.connect() as connection:
            version = connection.info.server_version // 10_000
            have = install(connection)
            for case in CASES:
                if case.setup and case.since <= version:
                    connection.execute(case.setup)
            present = []
            for case in chosen:
                there = case.since <= version and (not case.extension or case.extension in have)
                values = generated(case, options.seed, options.values)
                if is_document(case):
                    values = [value for value in values if value is None or is_held(value)]
                if there and write(connection, case, values) is not None:
                    present.append(case)
            texts = {case.name: truth(connection, case) for case in present}

        plain_ones = [case for case in present if not case.target.startswith(CONVERTED)]
        steps = [
            # Half of the rows are replaced by a merge, and half are new to it.
            ("truncate", plain_ones, "of_{}", "id % 2 = 0", None),
            ("merge", plain_ones, "of_{}", None, 1),
            ("truncate", [case for case in present if case not in plain_ones], "of_{}", None, 1),
            ("empty", present, "once_{}", None, 1),
            ("append", present, "once_{}", None, 2),
        ]
        for disposition, cases, name, where, times in steps:
            counted = warehouse.run(cases, disposition, name, where)
            if times is None:
                continue
            for case in cases:
                found = warehouse.rows(case, name.format(case.name))
                judge(outcomes, case, texts[case.name], found, counted[case.table], times, disposition)
    failures = [failure for outcome in outcomes.values() for failure in outcome.failures[:5]]
    for failure in failures:
        print(f"fails: {failure}")
    types = sorted({case.target.split("(")[0] for case in present})
    exactly = sum(outcome.exact for outcome in outcomes.values())
    print(json.dumps({"version": version, "cases": len(present), "exact": exactly, "types": types}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
