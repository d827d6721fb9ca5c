"""The time to plan the big tables, and the pages that planning reads."""

import shutil
import time

import psycopg

import program

PAGES = """
    SELECT heap_blks_read + heap_blks_hit, coalesce(idx_blks_read + idx_blks_hit, 0)
    FROM pg_statio_user_tables WHERE relname = %s
"""


def main():
    program.heading("table", "strategy", "units", "seconds", "pages of the table", "heap pages read", "index pages read", "share")
    with psycopg.connect(program.URL, autocommit=True) as connection:
        for table, strategy in [
            ("events", "auto"), ("events", "id_range"), ("events", "ctid"), ("events", "hash"), ("lineitem", "auto"),
        ]:
            partitioning = {"strategy": strategy}
            job = program.write_job("planning", table, partitioning)
            pages = connection.execute("SELECT pg_relation_size(oid) / current_setting('block_size')::int FROM pg_class WHERE relname = %s", [table]).fetchone()[0]
            # The server publishes a session's counts only after up to a second.
            time.sleep(1.5)
            heap, index = connection.execute(PAGES, [table]).fetchone()
            began = time.monotonic()
            answer = program.answer(program.start("plan", "--json", job))
            took = time.monotonic() - began
            time.sleep(1.5)
            heap_after, index_after = connection.execute(PAGES, [table]).fetchone()
            plan = answer["tables"][0]
            read = heap_after - heap + index_after - index
            program.line(
                table, plan["strategy"], len(plan["units"]), f"{took:.2f}", f"{pages:,}", heap_after - heap,
                index_after - index, f"{100 * read / pages:.3f} %",
            )
            shutil.rmtree(job.parent)
            if took > 1 or read > pages / 100:
                raise SystemExit(f"planning {table} took {took:.2f} s and read {read} pages")


if __name__ == "__main__":
    main()
