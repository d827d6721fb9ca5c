#!/usr/bin/env python3
"""Asks a PostgreSQL server for all its types, and plans a table of each.

A type that the plan does not know has no row in the type table: the catalogue of the next version
of PostgreSQL is the test's own list.

    catalogue.py URL
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

import psycopg

from moving import Database, Run

# The types of these extensions are checked too, if the extension is available.
EXTENSIONS = ["citext", "hstore", "ltree", "intarray", "cube", "seg", "isn", "btree_gist", "pg_trgm", "postgis", "postgis_raster", "vector"]
# The types that a column can have: base types with their arrays, ranges, multiranges. The catalogue's domains and
# composites are used only by views, and no column can have a pseudo-type.
QUERY = """
    SELECT t.oid, format('%I.%I', n.nspname, t.typname), t.typname, coalesce(x.extname, '')
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    LEFT JOIN pg_extension x ON x.oid = d.refobjid
    WHERE t.typtype IN ('b', 'r', 'm') AND t.typisdefined AND (n.nspname = 'pg_catalog' OR x.oid IS NOT NULL)
        AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid AND e.typtype NOT IN ('b', 'r', 'm'))
    ORDER BY t.oid"""


class Column:
    """A case of which only the table is used."""

    wanted = None

    def __init__(self, table):
        self.table = table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a server where databases may be created")
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    options = parser.parse_args()
    names = {}
    with Database(options.url) as database, tempfile.TemporaryDirectory(prefix="catalogue-") as folder:
        with database.connect() as connection:
            version = connection.info.server_version // 10_000
            available = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
            for extension in EXTENSIONS:
                if extension in available:
                    connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} CASCADE")
            for oid, spelled, name, extension in connection.execute(QUERY).fetchall():
                table = f"of_{oid}"
                try:
                    connection.execute(f"CREATE TABLE {table} (v {spelled})")
                except psycopg.errors.InvalidTableDefinition:
                    continue
                names[table] = f"{extension}.{name}".lstrip(".")
        run = Run(options.sluice, database.url, [Column(table) for table in names], "fail", pathlib.Path(folder))
        plan = run.answer("plan")
    planned = {table["table"].removeprefix("public."): table["columns"][0] for table in plan["tables"]}
    refused = {table["table"].removeprefix("public."): table["message"] for table in plan["refused"]}
    unknown, reasons = [], {}
    for table, name in names.items():
        if table in refused:
            known, _, reason = refused[table].rpartition(" is not copied: ")
            if known:
                reasons[name] = reason
            else:
                unknown.append(name)
        elif table not in planned:
            unknown.append(name)
    for name in unknown:
        print(f"fails: no row for the type {name} of PostgreSQL {version}")
    print(json.dumps({"version": version, "types": len(names), "planned": len(planned), "refused": reasons, "unknown": unknown}))
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
