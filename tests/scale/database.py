"""Eighty related tables with 0 to 100,000 rows, read in one run while they are written to."""

import json
import os
import shutil
import subprocess
import threading
import time

import duckdb
import psycopg

import program

TABLES = 80
SIZES = [0, 10, 1_000, 100, 25_000, 50, 5_000, 100_000]


def create(connection):
    connection.execute("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop")
    for at in range(TABLES):
        parent = f"REFERENCES shop.t{at - 1} (id)" if at else ""
        connection.execute(f"CREATE TABLE shop.t{at} (id bigint PRIMARY KEY, parent bigint {parent}, name text)")
        above = f"(SELECT min(id) FROM shop.t{at - 1})" if at else "NULL"
        connection.execute(
            f"INSERT INTO shop.t{at} SELECT n, {above}, md5(n::text) FROM generate_series(1, {SIZES[at % 8]}) AS n"
        )
    connection.execute("ANALYZE")


def write(stop, counts):
    """Writes new rows into every table, each referring to the new row of the table before."""
    number = 1_000_000
    with psycopg.connect(program.URL, autocommit=True) as connection:
        while not stop.is_set():
            number += 1
            inserts = "".join(
                f"INSERT INTO shop.t{at} VALUES ({number}, {number if at else 'NULL'}, 'late');"
                for at in range(TABLES)
            )
            connection.execute(f"BEGIN; {inserts} COMMIT")
            counts[0] += 1


def founder(bucket):
    while True:
        for path in bucket.glob("runs/*/snapshots/0000/founder.json"):
            try:
                return json.loads(path.read_text())["token"].split()[0]
            except (OSError, ValueError):
                pass
        time.sleep(0.002)


def files(folder, at):
    """The files from which DuckDB reads the copy of a table; None for an empty table."""
    return f"'{folder}/t{at}/*.parquet'" if any((folder / f"t{at}").glob("*.parquet")) else None


def orphans(folder):
    count = 0
    for at in range(1, TABLES):
        child, parent = files(folder, at), files(folder, at - 1)
        if child:
            known = f"SELECT id FROM {parent}" if parent else "SELECT NULL WHERE false"
            query = f"SELECT count(*) FROM {child} WHERE parent IS NOT NULL AND parent NOT IN ({known})"
            count += duckdb.sql(query).fetchone()[0]
    return count


def main():
    with psycopg.connect(program.URL, autocommit=True) as connection:
        create(connection)
        connection.execute("DROP DATABASE IF EXISTS shop_copy")
        connection.execute("CREATE DATABASE shop_copy TEMPLATE template0")
    stop, counts = threading.Event(), [0]
    writer = threading.Thread(target=write, args=(stop, counts), daemon=True)
    writer.start()
    job = program.write_many("database", ["shop.*"], {"max_tasks": 2})
    folder = job.parent / "warehouse"
    process = program.start("run", "--json", job)
    token = founder(job.parent / "bucket")
    copy = program.URL.rsplit("/", 1)[0] + "/shop_copy"
    # pg_dump must join the snapshot before the run, and its snapshot, ends.
    dump = subprocess.run(
        ["pg_dump", "--no-owner", f"--snapshot={token}", "-n", "shop", "-f", job.parent / "dump.sql", program.URL]
    )
    answer = program.answer(process)
    stop.set()
    writer.join()
    if dump.returncode == 0:
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", job.parent / "dump.sql", copy], check=True,
                       stdout=subprocess.DEVNULL)
        for at in range(TABLES):
            program.oracle(f"shop.t{at}", folder / f"t{at}", copy)
    program.heading("tables", "rows", "tasks", "units", "seconds", "transactions meanwhile", "orphans", "equal to pg_dump")
    equal = TABLES if dump.returncode == 0 else "pg_dump came too late"
    program.line(len(answer["tables"]), f"{answer['rows']:,}", answer["tasks"], answer["units"],
                 f"{answer['seconds']:.2f}", counts[0], orphans(folder), equal)
    failed = answer["tasks"] > 2 or orphans(folder) > 0 or dump.returncode != 0
    shutil.rmtree(job.parent)

    with psycopg.connect(program.URL, autocommit=True) as connection:
        connection.execute("DROP DATABASE shop_copy")
        connection.execute("DROP ROLE IF EXISTS sluice_reader; CREATE ROLE sluice_reader LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA shop TO sluice_reader")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA shop TO sluice_reader")
        connection.execute("REVOKE SELECT ON shop.t40 FROM sluice_reader")
    host = program.URL.split("@")[-1]
    os.environ["SCALE_URL"] = program.URL = f"postgres://sluice_reader@{host}"
    program.heading("all_or_nothing", "exit code", "committed", "refused", "visible")
    for strict in [False, True]:
        job = program.write_many("unreadable", ["shop.*"], {"max_tasks": 2}, {"all_or_nothing": strict})
        process = program.start("run", "--json", job)
        out, _ = process.communicate()
        answer = json.loads(out)
        states = [table["state"] for table in answer.get("tables", [])]
        visible = len(list((job.parent / "warehouse").glob("t*")))
        program.line(strict, process.returncode, states.count("committed"), states.count("refused"), visible)
        print("\n" + answer["error"] + "\n", flush=True)
        failed |= process.returncode != 1 or visible != (0 if strict else TABLES - 1)
        shutil.rmtree(job.parent)
    if failed:
        raise SystemExit("the copy is not what it should be")


if __name__ == "__main__":
    main()
