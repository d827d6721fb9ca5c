"""Every strategy on the big tables. Compares count, NULLs, min, max and sums of every column."""

import shutil
import time

import program

STRATEGIES = {
    "events": [
        {"strategy": "auto"},
        {"strategy": "full"},
        {"strategy": "date_range", "column": "created_at"},
        {"strategy": "id_range", "column": "id"},
        {"strategy": "hash"},
        {"strategy": "ctid"},
    ],
    "lineitem": [
        {"strategy": "auto"},
        {"strategy": "full"},
        {"strategy": "date_range", "column": "l_shipdate"},
        {"strategy": "id_range", "column": "l_orderkey"},
        {"strategy": "hash"},
        {"strategy": "ctid"},
    ],
}


def main():
    program.heading("table", "strategy", "units", "tasks", "rows", "MB", "seconds", "rows/s", "peak MiB of a task", "equal")
    for table, choices in STRATEGIES.items():
        facts = program.FOLDER.parent / f"{table}.facts"
        facts.unlink(missing_ok=True)
        for partitioning in choices:
            name = f"{table}-{partitioning['strategy']}"
            job = program.write_job(name, table, partitioning, {"max_tasks": 2, "finish_within": "1s"})
            began = time.monotonic()
            high, answer = program.peaks(program.start("run", "--json", job))
            took = time.monotonic() - began
            # The table does not change, so its facts are computed only once.
            program.oracle(table, program.target(job), remember=facts)
            shown = partitioning["strategy"]
            if shown == "auto":
                shown += f" ({answer['tables'][0]['strategy']})"
            rows, megabytes = answer["rows"], answer["bytes"] / 1e6
            program.line(
                table, shown, answer["units"], answer["tasks"], f"{rows:,}", f"{megabytes:,.0f}", f"{took:.1f}",
                f"{rows / took:,.0f}", f"{max(high, default=0):.0f}", "yes",
            )
            shutil.rmtree(job.parent)


if __name__ == "__main__":
    main()
