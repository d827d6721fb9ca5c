"""Peak memory of a task that reads 5,000,000 rows in one unit and in a hundred."""

import shutil

import program

LIMIT = 256


def main():
    program.heading("units", "rows", "peak MiB of the task", f"at most {LIMIT}")
    found = []
    for wanted, partitioning in [
        (1, {"strategy": "full"}),
        (100, {"strategy": "id_range", "column": "id", "target_rows": 50_000}),
    ]:
        job = program.write_job(f"memory-{wanted}", "events", partitioning, {"max_tasks": 1})
        high, answer = program.peaks(program.start("run", "--json", job))
        peak = max(high)
        found.append(peak)
        program.line(answer["units"], f"{answer['rows']:,}", f"{peak:.0f}", "yes" if peak <= LIMIT else "no")
        shutil.rmtree(job.parent)
    if max(found) > LIMIT:
        raise SystemExit(f"a task needed more than {LIMIT} MiB")


if __name__ == "__main__":
    main()
