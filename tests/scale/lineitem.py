"""Writes TPC-H lineitem as CSV to a file: lineitem.py SCALE_FACTOR FILE"""

import importlib.util
import pathlib
import sys

import duckdb


def main() -> None:
    scale, path = float(sys.argv[1]), sys.argv[2]
    package = pathlib.Path(importlib.util.find_spec("duckdb_extension_tpch").origin).parent
    (extension,) = package.glob("extensions/*/tpch.duckdb_extension")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"CALL dbgen(sf = {scale})")
    connection.execute(f"COPY lineitem TO '{path}' (FORMAT csv, HEADER false)")


if __name__ == "__main__":
    main()
