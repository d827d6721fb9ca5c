#!/usr/bin/env python3
"""A million rows with a column of every type, of which a tenth have the key of another.

PostgreSQL makes them, Sluice writes the parts, the pipeline takes the newest row of each key, and every value of every
file is compared with the parts' rows that PostgreSQL's own SQL chooses.

    scale.py [--rows 1000000] [--runner DirectRunner]
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import uuid

import pyarrow as pa
import pyarrow.compute as pc

# The pipeline of this folder, which need not be installed.
ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(ROOT)]

import lake  # noqa: E402
import servers  # noqa: E402
from needs import needs  # noqa: E402
from same import same  # noqa: E402
from stub import Stub  # noqa: E402

# A column of each type that part files have, and some of several sources of it.
TABLE = """CREATE TABLE big AS
    SELECT n AS id, CASE WHEN k % 1000 = 0 THEN NULL ELSE (k % 1000)::int2 END AS shop, (k / 1000)::int4 AS number,
        timestamptz '2024-01-01+00' + n * 7919 % {rows} * interval '1 millisecond' AS updated,
        (n % 65536 - 32768)::int2 AS int2, (n * 31 % 4294967296 - 2147483648)::int4 AS int4,
        n * 9000000000001 - 4611686018427387904 AS int8, n::float4 / 7 AS float4,
        CASE n % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN '-0' ELSE n / 7.0 END::float8 AS float8,
        ((n - 500000) / 100.0)::numeric(12,2) AS amount, (n * 1234567890123456789.123456789)::numeric(38,9) AS exact,
        (n * 12345678901234567890123456789.1234567890123456789)::numeric(70,30) AS ratio, n % 3 = 0 AS paid,
        'größe ' || md5(n::text) AS name, decode(md5(n::text), 'hex') || '\\x00'::bytea AS digest,
        md5(n::text)::uuid AS token, md5(n::text)::uuid AS token16, date '0001-01-01' + (n % 3652000)::int AS day,
        time '00:00' + n % 86400000 * interval '1 millisecond' AS clock,
        timestamp '0001-01-01' + n % 87000000 * interval '1 hour' AS local,
        timestamptz '9999-12-31 23:59:59.999999+00' - n * interval '1 second' AS last,
        json_build_object('n', n, 'f', 1.50) AS payload,
        n % 100000 * interval '1 minute' AS took,
        daterange(date '2024-01-01', date '2024-01-02' + (n % 1000)::int) AS days,
        tsrange(timestamp '2024-01-01', NULL) AS local_range, tstzrange(NULL, timestamptz '2024-01-01+00') AS range,
        ARRAY[n, -n]::int8[] AS numbers, ARRAY['a' || n, '']::text[] AS tags,
        '{{}}'::numeric(12,2)[] AS none,
        ARRAY[n / 3.0]::numeric(12,2)[] AS amounts, ARRAY[timestamptz '2024-01-01+00']::timestamptz[] AS moments
    FROM (SELECT n, n % ({rows} * 9 / 10) AS k
        FROM generate_series(1::int8, {rows}) AS n) AS numbered"""
COLUMNS = {"token16": {"type": "BYTES"}, "ratio": {"type": "BIGNUMERIC"}}
# Every thirtieth row has NULL in all columns but the key and the order.
HOLES = "UPDATE big SET {} WHERE id % 30 = 0"
KEYS, ORDER = ["shop", "number"], "updated"
WINNERS = f"""SELECT id FROM (
    SELECT id, row_number() OVER (PARTITION BY {", ".join(KEYS)} ORDER BY {ORDER} DESC) AS place
    FROM big) AS ranked WHERE place = 1"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runner", default=lake.RUNNER.partition("=")[2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-dataflow-") as path:
        folder = pathlib.Path(path)
        os.chmod(folder, 0o755)
        postgres = servers.Postgres(folder)
        stub = Stub(lambda url: url.removeprefix("file://"))
        try:
            print(json.dumps(run(options, folder, postgres, stub)))
        finally:
            stub.stop()
            postgres.stop()


def run(options, folder, postgres, stub) -> dict:
    with postgres.connect() as connection:
        connection.execute(TABLE.format(rows=options.rows))
        names = connection.execute("SELECT * FROM big LIMIT 0").description
        others = [column.name for column in names if column.name not in ("id", *KEYS, ORDER)]
        connection.execute(HOLES.format(", ".join(f"{name} = NULL" for name in others)))
        connection.execute("ALTER TABLE big ADD PRIMARY KEY (id); ANALYZE big")
        ids = [id for (id,) in connection.execute(WINNERS)]
    document = {
        "name": "scale",
        "source": {"url": "${SOURCE_URL}", "table": "public.big"},
        "target": {"table": f"file://{folder}/big"},
        "bucket": f"file://{folder}/bucket",
        "columns": COLUMNS,
        "partitioning": {"strategy": "id_range", "target_rows": options.rows // 8},
    }
    (folder / "job.yaml").write_text(json.dumps(document))
    program = [needs("TEST_SLUICE", "the program"), "run", "--json", folder / "job.yaml"]
    subprocess.run(program, check=True, env={**os.environ, "SOURCE_URL": postgres.own}, capture_output=True)
    [manifest] = folder.glob("bucket/runs/*/manifest.json")
    columns = json.loads(manifest.read_text())["tables"][0]["columns"]
    parts = sorted((folder / "big").glob("*.parquet"))
    order = {
        "version": 1, "run": str(uuid.uuid4()), "table": 0, "generation": 0, "job": "scale", "columns": columns,
        "schema": lake.staging_schema(columns), "parts": [f"file://{part}" for part in parts], "rows": options.rows,
        "bytes": sum(part.stat().st_size for part in parts), "dedup": {"keys": KEYS, "order": ORDER},
        "staging": {"project": "shop", "dataset": "sales", "table": "big", "location": "US"}, "output": f"file://{folder}/out/",
    }  # fmt: skip
    (folder / "order.json").write_text(json.dumps(order))
    command = [
        sys.executable,
        "-m",
        "sluice_dataflow",
        f"--runner={options.runner}",
        "--order",
        f"file://{folder}/order.json",
    ]
    began = time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "SLUICE_BIGQUERY_ENDPOINT": stub.url})
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = json.loads((folder / "out/result.json").read_text())
    assert (result["rows_read"], result["rows_written"], result["ties"]) == (options.rows, len(ids), 0), result
    given = lake.read(parts)
    wanted = given.filter(pc.is_in(given["id"], pa.array(ids, pa.int64())))
    same(lake.read(sorted((folder / "out").glob("*.parquet"))), wanted, by="id")
    return {
        **result, "columns": len(columns), "parts": len(parts), "seconds": round(seconds, 1),
        "peak_mebibytes": peak // 1024, "values_compared": len(ids) * len(columns), "differences": 0,
    }  # fmt: skip


if __name__ == "__main__":
    main()
