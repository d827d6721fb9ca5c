"""Peak memory of a task, by units and by the width of rows."""

import shutil

import program
import psycopg

LIMIT = 192

# Texts of 8 MiB, which PostgreSQL does not compress, every fifth of them NULL; and rows of one byte.
TABLES = {
    "wide": """
        SELECT n AS id, CASE WHEN n % 5 <> 0 THEN (
            SELECT string_agg(md5(n || ' ' || part), '') FROM generate_series(1, 262144) part
        ) END AS document
        FROM generate_series(1, 150) n
    """,
    "narrow": "SELECT n % 7 = 0 AS flag FROM generate_series(1, 10000000) n",
}


def make(name, query):
    with psycopg.connect(program.URL, autocommit=True) as connection:
        found = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
        if found != (None,):
            return
        connection.execute(f"CREATE TABLE {name} AS {query}")
        connection.execute(f"VACUUM ANALYZE {name}")


def main():
    for name, query in TABLES.items():
        make(name, query)
    program.heading("table", "units", "rows", "MB", "peak MiB of the task", f"at most {LIMIT}")
    found = []
    for table, name, partitioning in [
        ("events", "one", {"strategy": "full"}),
        ("events", "hundred", {"strategy": "id_range", "column": "id", "target_rows": 50_000}),
        ("wide", "one", {"strategy": "full"}),
        ("wide", "many", {"strategy": "id_range", "column": "id", "target_rows": 5}),
        ("narrow", "one", {"strategy": "full"}),
        ("narrow", "many", {"strategy": "ctid", "target_rows": 100_000}),
    ]:
        job = program.write_job(f"memory-{table}-{name}", table, partitioning, {"max_tasks": 1})
        high, answer = program.peaks(program.start("run", "--json", job))
        peak = max(high)
        found.append(peak)
        rows, megabytes = f"{answer['rows']:,}", f"{answer['bytes'] / 1e6:,.0f}"
        good = "yes" if peak <= LIMIT else "no"
        program.line(table, answer["units"], rows, megabytes, f"{peak:.0f}", good)
        shutil.rmtree(job.parent)
    if max(found) > LIMIT:
        raise SystemExit(f"a task needed more than {LIMIT} MiB")


if __name__ == "__main__":
    main()
