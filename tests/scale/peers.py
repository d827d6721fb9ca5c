"""Reads single columns with another program and writes each to Parquet.

Runs in the peers' own environment. Prints the failures on standard output, as JSON by column.

    peers.py PEER URL TABLE FOLDER COLUMN...
"""

import glob
import json
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def connectorx(url, query):
    import connectorx

    return connectorx.read_sql(url, query, return_type="arrow")


def polars(url, query):
    import polars

    return polars.read_database_uri(query, url, engine="connectorx").to_arrow()


def adbc(url, query):
    import adbc_driver_postgresql.dbapi

    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def duckdb(url, query):
    import duckdb
    import duckdb_extension_postgres_scanner as extension

    [file] = glob.glob(os.path.join(os.path.dirname(extension.__file__), "extensions/*/*.duckdb_extension"))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{file}'")
    connection.execute(f"ATTACH '{url}' AS source (TYPE postgres, READ_ONLY)")
    return connection.execute(query.replace("FROM ", "FROM source.public.")).to_arrow_table()


def psycopg(url, query):
    import psycopg

    with psycopg.connect(url) as connection:
        cursor = connection.execute(query)
        rows = cursor.fetchall()
        names = [column.name for column in cursor.description]
        return pa.table({name: pa.array([row[at] for row in rows]) for at, name in enumerate(names)})


def main():
    name, url, table, folder, *columns = sys.argv[1:]
    failed = {}
    for column in columns:
        try:
            found = globals()[name](url, f'SELECT id, "{column}" FROM {table} ORDER BY id')
            if not isinstance(found, pa.Table):
                found = pa.table(found)
            pq.write_table(found, os.path.join(folder, f"{column}.parquet"))
        except BaseException as error:  # a Rust panic is not an Exception
            failed[column] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    print(json.dumps(failed))


if __name__ == "__main__":
    main()
