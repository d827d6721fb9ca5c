"""Runs Sluice for the large measurements: job files, tasks, their peak memory, tables of results."""

import glob
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

URL = os.environ["SCALE_URL"]
FOLDER = pathlib.Path(os.environ["SCALE_DIR"]) / "runs"
PROGRAM = os.environ["TEST_SLUICE"]
HERE = pathlib.Path(__file__).parent


def write_job(name, table, partitioning=None, limits=None, more=None):
    """Writes a job file into a fresh folder, and returns its path."""
    folder = fresh(name)
    job = {
        "name": name,
        "source": {"url": "${SOURCE_URL}", "table": table},
        "partitioning": partitioning or {},
        "target": {"table": f"file://{folder}/warehouse/shop/{table}"},
        "bucket": f"file://{folder}/bucket",
        "limits": limits or {},
        **(more or {}),
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job, indent=2))
    return path


def write_many(name, patterns, limits, more=None):
    """Writes a job file for many tables into a fresh folder, and returns its path."""
    folder = fresh(name)
    job = {
        "name": name,
        "source": {"url": "${SOURCE_URL}"},
        "tables": [{"table": pattern} for pattern in patterns],
        "target": {"dataset": f"file://{folder}/warehouse"},
        "bucket": f"file://{folder}/bucket",
        "limits": limits,
        **(more or {}),
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job, indent=2))
    return path


def fresh(name):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def target(job):
    return json.loads(job.read_text())["target"]["table"].removeprefix("file://")


def start(*arguments):
    environment = dict(os.environ, SOURCE_URL=URL)
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process):
    """The answer of `--json`."""
    out, err = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"sluice failed with {process.returncode}:\n{out}\n{err}")
    return json.loads(out)


def tasks_of(run):
    """The descendants of `run` that are tasks."""
    parents = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat) as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.split("/")[2])] = int(fields[1])
    tasks = []
    for process in parents:
        ancestor = parents[process]
        while ancestor not in (run, 0) and ancestor in parents:
            ancestor = parents[ancestor]
        if ancestor == run and is_task(process):
            tasks.append(process)
    return tasks


def is_task(process):
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            return b"CLOUD_RUN_TASK_INDEX=" in file.read()
    except OSError:
        return False


def kill_one(run, usual, least=1):
    """Kills one of the run's tasks at a random moment of the `usual` seconds that it takes.

    Returns 1 if it killed a task, and 0 if fewer than `least` tasks were alive or the task had ended.
    """
    while run.poll() is None and not tasks_of(run.pid):
        time.sleep(0.002)
    time.sleep(random.uniform(0, usual))
    tasks = tasks_of(run.pid)
    if len(tasks) < least:
        return 0
    try:
        os.kill(random.choice(tasks), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def peaks(process):
    """Waits for a run. Returns the highest resident size of each task, in MiB, and the answer."""
    found = {}
    while process.poll() is None:
        for task in tasks_of(process.pid):
            try:
                with open(f"/proc/{task}/status") as file:
                    high = next((line for line in file if line.startswith("VmHWM:")), None)
            except OSError:
                continue
            if high:
                found[task] = int(high.split()[1]) / 1024
        time.sleep(0.02)
    return list(found.values()), answer(process)


def oracle(table, folder, url=None, remember=None):
    """Fails unless the folder holds the table. Returns the seconds that the check took."""
    began = time.monotonic()
    check = [os.sys.executable, HERE.parent / "oracle.py", "postgres", url or URL, "--table", table, "--parquet", folder]
    if remember:
        check += ["--remember", remember]
    result = subprocess.run(check, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{folder} is wrong:\n{result.stdout}{result.stderr}")
    return time.monotonic() - began


def heading(*names):
    print("| " + " | ".join(names) + " |")
    print("|" + " --- |" * len(names), flush=True)


def line(*values):
    print("| " + " | ".join(str(value) for value in values) + " |", flush=True)
