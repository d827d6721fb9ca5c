"""Runs with tasks that are killed at random moments: each has to end with the right table."""

import os
import shutil
import time

import duckdb
import psycopg

import program

TABLE = "events_small"
RUNS = int(os.environ.get("SCALE_KILLS", "200"))


def contents(folder):
    """The number of rows, and a hash of all rows that does not depend on their order."""
    return duckdb.sql(f"SELECT count(*), sum(hash(t)::hugeint) FROM '{folder}/*.parquet' AS t").fetchone()


def main():
    with psycopg.connect(program.URL, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        connection.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM events WHERE id % 25 = 0")
        connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")
        connection.execute(f"VACUUM ANALYZE {TABLE}")
    cut = {"strategy": "id_range", "target_rows": 5000}
    limits = {"max_tasks": 4, "max_connections": 4, "finish_within": "100ms"}
    job = program.write_job("kills", TABLE, cut, limits)
    began = time.monotonic()
    program.answer(program.start("run", "--json", job))
    usual = time.monotonic() - began
    program.oracle(TABLE, program.target(job))
    expected = contents(program.target(job))

    killed = runs = 0
    while killed < RUNS:
        runs += 1
        shutil.rmtree(program.target(job))
        process = program.start("run", "--json", job)
        killed += program.kill_one(process, usual)
        answer = program.answer(process)
        found = contents(program.target(job))
        if found != expected:
            raise SystemExit(f"run {runs}, {answer['run']}: {found} instead of {expected}")
        shutil.rmtree(job.parent / "bucket")
    program.heading("runs", "with a task killed", "right tables", "rows", "seconds of a run left alone")
    program.line(runs, killed, runs, f"{expected[0]:,}", f"{usual:.2f}")
    shutil.rmtree(job.parent)


if __name__ == "__main__":
    main()
