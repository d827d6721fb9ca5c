"""Runs whose tasks are killed while writers move money between the accounts that are read.

A transfer keeps the sum, moves its rows to other pages and changes their `moved`. So a run that
reads two states of the table has a wrong count or a wrong sum; `without a snapshot` shows this.
"""

import os
import random
import shutil
import threading
import time

import duckdb
import psycopg

import program

ACCOUNTS = 300_000
BALANCE = 1_000
WRITERS = 4
RUNS = int(os.environ.get("SCALE_KILLS", "200"))
CUTS = [
    {"strategy": "ctid", "target_rows": 15_000},
    {"strategy": "id_range", "column": "moved", "target_rows": 15_000},
    {"strategy": "hash", "column": "id"},
]


def write(stop, counts, number):
    with psycopg.connect(program.URL, autocommit=True) as connection:
        while not stop.is_set():
            low, high = sorted(random.sample(range(1, ACCOUNTS + 1), 2))
            connection.execute(
                f"BEGIN; UPDATE accounts SET balance = balance - 1, moved = nextval('moves') WHERE id = {low};"
                f"UPDATE accounts SET balance = balance + 1, moved = nextval('moves') WHERE id = {high}; COMMIT"
            )
            counts[number] += 1


def figures(folder):
    query = f"SELECT count(*), count(DISTINCT id), sum(balance)::BIGINT FROM '{folder}/*.parquet'"
    return duckdb.sql(query).fetchone()


def moments(run):
    """How many snapshots a run took, and whether one before the newest has a receipt.

    No work is lost with a snapshot that ends before a unit has a receipt in it.
    """
    generations = sorted(founder.parent.name for founder in run.glob("snapshots/*/founder.json"))
    return len(generations), any(any(run.glob(f"receipts/{older}/*")) for older in generations[:-1])


def one_run(job, kill_within):
    """The copy's figures, the tasks killed, the snapshots taken, and whether the run began again."""
    process = program.start("run", "--json", job)
    # Never kill all tasks: another test does that.
    killed = program.kill_one(process, kill_within, least=2) if kill_within else 0
    answer = program.answer(process)
    found = figures(program.target(job))
    taken, again = moments(job.parent / "bucket" / "runs" / answer["run"])
    if again:
        shutil.copytree(job.parent / "bucket", program.FOLDER / "begun-again" / answer["run"])
    shutil.rmtree(job.parent / "bucket")
    return found, killed, taken, again


def main():
    with psycopg.connect(program.URL, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS accounts; DROP SEQUENCE IF EXISTS moves; CREATE SEQUENCE moves")
        connection.execute("CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint, moved bigint, note text)")
        connection.execute(
            f"INSERT INTO accounts SELECT n, {BALANCE}, nextval('moves'), repeat('x', 60)"
            f" FROM generate_series(1, {ACCOUNTS}) AS n"
        )
        connection.execute("CREATE INDEX ON accounts (moved)")
        connection.execute("VACUUM ANALYZE accounts")
    right = (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE)
    stop, counts = threading.Event(), [0] * WRITERS
    writers = [threading.Thread(target=write, args=(stop, counts, n), daemon=True) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    limits = {"max_tasks": 4, "max_connections": 4, "finish_within": "100ms"}
    program.heading(
        "cut", "consistency", "runs", "with a task killed", "right tables",
        "more than one snapshot", "begun again", "transfers",
    )
    failed = False
    for cut in CUTS:
        for consistency, runs in [("snapshot", RUNS // len(CUTS) + 1), ("none", 5)]:
            job = program.write_job("transfers", "accounts", cut, limits, {"consistency": consistency})
            began = time.monotonic()
            one_run(job, None)
            usual = time.monotonic() - began
            before = sum(counts)
            ended = []
            while sum(killed for _, killed, _, _ in ended) < runs:
                ended.append(one_run(job, usual))
            runs = len(ended)
            correct = sum(found == right for found, _, _, _ in ended)
            killed = sum(killed for _, killed, _, _ in ended)
            more = sum(taken > 1 for _, _, taken, _ in ended)
            again = sum(again for _, _, _, again in ended)
            program.line(cut["strategy"], consistency, runs, killed, correct, more, again, sum(counts) - before)
            failed |= consistency == "snapshot" and (correct < runs or again > 0)
            shutil.rmtree(job.parent)
    stop.set()
    for writer in writers:
        writer.join()
    if failed:
        raise SystemExit("a table is wrong, or a run was begun again while a task lived")


if __name__ == "__main__":
    main()
