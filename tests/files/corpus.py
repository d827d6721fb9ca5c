#!/usr/bin/env python3
"""Compares each value that the program makes of CSV with what other people's programs were given to write.

Where DuckDB reads the same file with the same options, its texts are compared too.

    corpus.py --sluice PROGRAM [--only WORD]
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import sys
import tempfile

import duckdb

from loading import Loader, differences, text_of
from tables import TABLES, rows_of
from writers import WRITERS, missing


def expected(one, columns):
    """The rows that a file means, as texts."""
    def means(column, value):
        if value is None:
            return one.texts_of_null if column.told == "STRING" else None
        if value == "" and not one.tells_empty:
            return one.texts_of_null
        return text_of(value)

    return rows_of([type(column)(column.name, column.told, [means(column, value) for value in column.values]) for column in columns])


def check(loader, one, table, fail, counts):
    columns = TABLES[table]()
    content = one.write(columns)
    rows = expected(one, columns)
    outcome = loader.load({one.file: content}, form=one.form)
    which = f"{table} by {one.name}"
    if outcome.code:
        return fail(f"{which}: {outcome.error}")
    if outcome.names != [re.sub("[^0-9A-Za-z_]", "_", column.name) for column in columns]:
        fail(f"{which}: columns {outcome.names[:5]}")
    told = [column.told for column in columns]
    if outcome.types != told and rows:
        fail(f"{which}: types {[both for both in zip(outcome.names, outcome.types, told) if both[1] != both[2]][:5]}")
    for difference in differences(outcome.rows, rows):
        fail(f"{which}: {difference}")
    counts["values"] += len(rows) * len(columns)
    # As texts, with nothing told.
    everything = {column.name: {"type": "STRING"} for column in columns}
    outcome = loader.load({one.file: content}, form=one.form, columns=everything)
    if outcome.code:
        return fail(f"{which}, as texts: {outcome.error}")
    other = read_by_duckdb(one, content, columns)
    if other is not None:
        for difference in differences(outcome.rows, other):
            fail(f"{which}: DuckDB reads otherwise: {difference}")
        counts["read_alike"] += 1


def read_by_duckdb(one, content, columns):
    """What DuckDB reads, if it reads such files: it knows UTF-8 alone, and takes an empty text for NULL."""
    form = one.form
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or "encoding" in form or "escape" in form or b"\r" in content and b"\n" not in content:
        return None
    with tempfile.TemporaryDirectory(prefix="duckdb-") as folder, duckdb.connect() as connection:
        path = pathlib.Path(folder) / "a.csv"
        path.write_bytes(content)
        header = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0].decode()
        delimiter = form.get("delimiter") or max(",;\t|", key=header.count)
        quote = form.get("quote", '"')
        try:
            return connection.execute(
                "SELECT * FROM read_csv(?, all_varchar = true, header = true, auto_detect = false, delim = ?, quote = ?, escape = ?,"
                " nullstr = ?, allow_quoted_nulls = false, max_line_size = 4000000, columns = ?)",
                [str(path), delimiter, quote, quote, form.get("null", ""), {column.name: "VARCHAR" for column in columns}]).fetchall()
        except duckdb.Error:
            # It refuses some that are right, as with lines that end in two ways.
            return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    parser.add_argument("--only", default="", help="writers whose names have this word")
    options = parser.parse_args()
    failures, counts = [], {"files": 0, "values": 0, "read_alike": 0}
    loader = Loader(options.sluice)
    pairs = [(one, table) for one in WRITERS if options.only in one.name and not missing(one) for table in TABLES if table not in one.without]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda pair: check(loader, *pair, failures.append, counts), pairs):
            counts["files"] += 1
    for failure in failures:
        print(f"fails: {failure}")
    left_out = [one.name for one in WRITERS if missing(one)]
    print(json.dumps({"failures": len(failures), **counts, "left_out": left_out}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
