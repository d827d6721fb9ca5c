#!/usr/bin/env python3
"""Moves texts out of databases whose encoding is not UTF-8, or that have no encoding.

In LATIN1 every text arrives with the same characters. SQL_ASCII has no encoding: UTF-8 arrives as it
is, bytes that are not UTF-8 are invalid, and as BYTES every value is exact.

    encodings.py URL
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

import psycopg

from moving import Database, Run

LATIN = ["é", "Grüße, ÿ ¤ ß ¡", "plain", "", "\xa0", None]
RAW = [b"plain", "grüße 😀".encode(), b"\xff\xfe", b"half \xc3", b"\xe9t\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"", None]


class Column:
    """A case of which only the table is used."""

    def __init__(self, table, wanted=None):
        self.table, self.wanted, self.name = table, wanted, table


def latin(options, folder, fail):
    with Database(options.url, "LATIN1") as database:
        with database.connect() as connection:
            connection.execute("CREATE TYPE mood AS ENUM ('müde', 'wach')")
            tables = {
                "texts": ("text", LATIN), "names": ("varchar(30)", LATIN), "documents": ("json", ['{"ü": "é"}', None]),
                "binary_documents": ("jsonb", ['{"ü": "é"}', None]), "moods": ("mood", ["müde", None]),
                "lists": ("text[]", ["{é,ß}", None]), "words": ("tsvector", ["'größe'", None]),
            }
            for table, (kind, values) in tables.items():
                connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
                for row, value in enumerate(values):
                    connection.execute(f"INSERT INTO {table} VALUES (%s, %s)", (row, value))
            connection.execute('CREATE TABLE "straße" (id int PRIMARY KEY, v text); INSERT INTO "straße" VALUES (0, \'ö\')')
        cases = [Column(table) for table in tables]
        run = Run(options.sluice, database.url, cases, "fail", folder)
        answer = run.answer("run")
        for table in answer["tables"]:
            if table["state"] != "committed" or table["invalid"]:
                fail(f"LATIN1: {table['table']}: {table['state']}: {table['error']} {table['invalid']}")
        for case in cases:
            expected = dict(enumerate(tables[case.table][1]))
            if case.table == "lists":
                expected[0] = ["é", "ß"]
            found = run.copy(case)
            if found != expected:
                fail(f"LATIN1: {case.table}: {found} instead of {expected}")


def ascii_only(options, folder, fail):
    with Database(options.url, "SQL_ASCII") as database:
        with psycopg.connect(database.url, autocommit=True) as connection:
            for table in ("texts", "verbatim"):
                connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v text)")
                with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    for row, value in enumerate(RAW):
                        copy.write(b"%d\t%s\n" % (row, b"\\N" if value is None else value))
        good = {row: value for row, value in enumerate(RAW) if value is None or is_utf8(value)}
        broken = len(RAW) - len(good)
        cases = [Column("texts"), Column("verbatim", "BYTES")]
        for policy in ("null", "fail"):
            place = folder / policy
            place.mkdir()
            run = Run(options.sluice, database.url, cases, policy, place)
            tables = {table["table"].removeprefix("public."): table for table in run.answer("run")["tables"]}
            if tables["verbatim"]["state"] != "committed" or run.copy(cases[1]) != dict(enumerate(RAW)):
                fail(f"SQL_ASCII: as BYTES, {tables['verbatim']['error']}: {run.copy(cases[1])}")
            state, invalid = tables["texts"]["state"], tables["texts"]["invalid"].get("v", 0)
            if policy == "fail":
                if state == "committed" or (place / "warehouse/texts").exists():
                    fail(f"SQL_ASCII: broken bytes were {state}")
                for word in ("`v`", "half", "\ufffd"):
                    if (word in tables["texts"]["error"]) != (word == "`v`"):
                        fail(f"SQL_ASCII: the error says {tables['texts']['error']}")
            elif state == "committed":
                found = run.copy(cases[0])
                expected = {row: good[row].decode() if good.get(row) is not None else None for row in range(len(RAW))}
                if found != expected or invalid != broken:
                    fail(f"SQL_ASCII: {invalid} of {broken} broken values were counted: {found}")
            elif state != "refused":
                fail(f"SQL_ASCII: {state}: {tables['texts']['error']}")


def is_utf8(value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a server where databases may be created")
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    options = parser.parse_args()
    failures = []
    for check in (latin, ascii_only):
        with tempfile.TemporaryDirectory(prefix="encodings-") as folder:
            check(options, pathlib.Path(folder), failures.append)
    for failure in failures:
        print(f"fails: {failure}")
    print(json.dumps({"failures": len(failures)}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
