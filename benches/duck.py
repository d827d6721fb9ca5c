"""What DuckDB does, in a process of its own, by the Python that has it.

duck.py copy PORT TABLE FILE THREADS   copies a table of the server into a Parquet file
duck.py start                          starts DuckDB with its extension, and does nothing
duck.py count FOLDER                   prints how many rows the Parquet files below a folder have
"""

import sys
from pathlib import Path

import duckdb


def connect(threads: str) -> duckdb.DuckDBPyConnection:
    import duckdb_extension_postgres_scanner as scanner

    (extension,) = Path(scanner.__file__).parent.glob("extensions/*/*.duckdb_extension")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": threads})
    connection.execute(f"LOAD '{extension}'")
    return connection


def copy(port: str, table: str, file: str, threads: str) -> None:
    connection = connect(threads)
    source = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    connection.execute(f"ATTACH '{source}' AS source (TYPE postgres, READ_ONLY)")
    # The rows may come in any order, as from Sluice.
    connection.execute("SET preserve_insertion_order = false")
    settings = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    connection.execute(f"COPY (SELECT * FROM source.public.{table}) TO '{file}' ({settings})")


def start() -> None:
    connect("1")


def count(folder: str) -> None:
    print(duckdb.execute(f"SELECT count(*) FROM read_parquet('{folder}/**/*.parquet')").fetchone()[0])


if __name__ == "__main__":
    {"copy": copy, "start": start, "count": count}[sys.argv[1]](*sys.argv[2:])
