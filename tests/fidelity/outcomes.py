#!/usr/bin/env python3
"""Writes values of every type to a PostgreSQL server, moves them with Sluice, and judges each.

Three outcomes are right: the value arrived exactly; the plan refused the column; or the target
cannot hold the value and it was counted as invalid. Everything else is a failure, and so is a value
that was counted though the target could hold it.

    outcomes.py URL [--values 300] [--seed 1] [--only TYPE]... [--settings] [--markdown]
"""

import argparse
import decimal
import ipaddress
import json
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile

import psycopg

import exact
from cases import CASES, Spelled
from exact import INVALID
from moving import SETTINGS, Database, Run

# Messages may contain these: they say why a value is invalid, or are limits of the target, and reveal no data.
LIMITS = {
    "infinity", "-infinity", "NaN", "Infinity", "-Infinity", "24:00:00", "00:00:00", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "0001-01-01", "9999-12-31", "10000-01-01", "0001-01-01 00:00:00", "10000-01-01 00:00:00",
    "0001-01-01 00:00:00+00", "10000-01-01 00:00:00+00",
}


# Writing


def generated(case, seed, count):
    """The case's own values, then generated values up to the number asked for. None stands for NULL."""
    source = random.Random(f"{seed} {case.name}")
    values = list(case.values)
    while case.more and len(values) < count:
        values.append(case.more(source).replace("\0", ""))
    return [*values, None]


def install(connection):
    """Creates the extensions that the server has."""
    have = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    for extension in {case.extension for case in CASES} & have:
        connection.execute(f"CREATE EXTENSION {extension}")
    return have


def write(connection, case, values):
    """Makes the case's table. Returns the number of rows; None if this server has no such values."""
    connection.execute(f'CREATE TABLE {case.table} (id int PRIMARY KEY, v {case.declared})')
    rows = list(enumerate(values))
    try:
        if case.through:
            value = case.through.format("%s")
            with connection.cursor() as cursor:
                cursor.executemany(f'INSERT INTO {case.table} VALUES (%s, {value})', rows)
        else:
            with connection.cursor() as cursor, cursor.copy(f'COPY {case.table} FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
    except psycopg.errors.FeatureNotSupported:
        connection.execute(f'DROP TABLE {case.table}')
        return None
    return len(rows)


def truth(connection, case):
    """The server's own text of each value, by row."""
    text = case.asked or "v"
    query = f"""SELECT id, CASE WHEN num_nonnulls(v) = 1 THEN format('%s', {text}) END FROM {case.table} """
    return dict(connection.execute(query).fetchall())


# Judging


def digits_of(target):
    """Precision and scale of `NUMERIC(12,2)`, or what the bare type holds."""
    inside = re.search(r"\((\d+),(\d+)\)", target)
    if inside:
        return int(inside.group(1)), int(inside.group(2))
    return (76, 38) if target.startswith("BIGNUMERIC") else (38, 9)


def expected(target, kind, text):
    """What has to arrive for the server's text, or INVALID; a function if several results are right."""
    if target.endswith("[]"):
        if kind == "vector":
            return [exact.float_of(item, True) for item in text.strip("[]").split(",")]
        items, usual = exact.array_of(text, kind[1])
        if not usual or any(item is None or isinstance(item, list) for item in items):
            return INVALID
        items = [expected(target[:-2], kind[0], item) for item in items]
        if any(item is INVALID for item in items):
            return INVALID
        return items
    base = target.split("(")[0]
    if base == "INT64":
        return exact.integer_of(text)
    if base == "FLOAT64":
        if kind == "whole_float":
            return exact.bits(float(text)) if int(float(text)) == int(text) else INVALID
        return exact.float_of(text, kind == "single")
    if base in ("NUMERIC", "BIGNUMERIC"):
        return exact.decimal_of(text, *digits_of(target))
    if base == "BOOL":
        return text in ("t", "true")
    if base == "BYTES":
        if kind == "utf8":
            return text.encode()
        return bytes.fromhex(text.replace("-", "") if kind == "uuid" else text.removeprefix("\\x"))
    if base == "DATE":
        return exact.date_of(text)
    if base == "TIME":
        return exact.time_of(text)
    if base in ("DATETIME", "TIMESTAMP"):
        return exact.moment_of(text)
    if kind == "interval" and "infinity" not in text or base == "INTERVAL":
        wanted = (exact.bounded_interval_of if base == "INTERVAL" else exact.interval_of)(text)
        return wanted if wanted is INVALID else Says(lambda found: exact.iso_interval_of(found) == wanted)
    if base.startswith("RANGE<"):
        of = base.removeprefix("RANGE<").removesuffix(">")
        bounds = exact.range_of(text, of != "DATE")
        return bounds if bounds is INVALID else Says(lambda found: exact.literal_range_of(found, of) == bounds)
    if isinstance(kind, Spelled):
        return kind.texts[text]
    if kind == "inet":
        # In an array the server omits the mask of a full address.
        return Says(lambda found: "/" in found and ipaddress.ip_interface(found) == ipaddress.ip_interface(text))
    if kind == "char":
        return INVALID if text.startswith("\\") and len(text) == 4 else text
    if base == "JSON" and kind == "hstore":
        wanted = exact.hstore_of(text)
        return Says(lambda found: sorted(exact.json_of(found)[1]) == wanted)
    if base == "JSON" and isinstance(kind, list) and not exact.array_of(text, kind[1])[1]:
        return INVALID
    if base == "JSON" and isinstance(kind, (list, dict)):
        return Says(lambda found: exact.same_document(exact.json_of(found), text, kind))
    if base == "GEOGRAPHY":
        if kind == "ewkt" and not text.startswith("SRID=4326;"):
            return INVALID
        shape = exact.shape_of(text.removeprefix("SRID=4326;"))
        return Says(lambda found: exact.shape_of(found) == shape) if exact.on_earth(shape) else INVALID
    return text


class Says:
    """A text with more than one right spelling."""

    def __init__(self, agrees):
        self.agrees = agrees

    def __eq__(self, found):
        try:
            return isinstance(found, str) and bool(self.agrees(found))
        except (ValueError, IndexError, AssertionError, decimal.InvalidOperation):
            return False


def same(found, wanted):
    if isinstance(wanted, Says):
        return wanted == found
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(same, found, wanted))
    return type(found) is type(wanted) and found == wanted


def shown(target):
    """A planned column's target type, spelled as in a case."""
    text = target["target_type"]
    if target.get("decimal"):
        text += f"({target['decimal']['precision']},{target['decimal']['scale']})"
    return text + ("[]" if target["repeated"] else "")


def planned_as(case, target):
    found = shown(target)
    if "(" in case.target:
        return found == case.target
    return re.sub(r"\(.*?\)", "", found) == case.target


class Outcome:
    """The outcome of one type."""

    def __init__(self, case, target="", values=0):
        self.case, self.target, self.values = case, target, values
        self.exact = self.counted = 0
        self.refused = False
        self.invalid_rows = set()
        self.failures = []

    def fail(self, what):
        self.failures.append(f"{self.case.name} ({self.case.declared}): {what}")

    def judge(self, texts, found, counted):
        """Compares every value; `counted` is how many values became NULL according to the run."""
        if found.keys() != texts.keys():
            self.fail(f"{len(texts)} rows were written and {len(found)} arrived")
            return
        for row, text in texts.items():
            value = found[row]
            if text is None:
                if value is not None:
                    self.fail(f"row {row}: NULL became {value!r:.200}")
                continue
            wanted = expected(self.case.target, self.case.kind, text)
            if wanted is INVALID:
                self.invalid_rows.add(row)
                if value is None:
                    self.counted += 1
                else:
                    self.fail(f"row {row}: {text!r:.200} cannot be held, but {value!r:.200} arrived")
            elif same(value, wanted):
                self.exact += 1
            elif value is None:
                self.fail(f"row {row}: {text!r:.200} was counted as invalid, but the target holds it")
            else:
                self.fail(f"row {row}: {text!r:.200} became {value!r:.200}")
        if self.counted != counted and not self.failures:
            self.fail(f"{self.counted} values are invalid, and {counted} were counted")


def judge_all(connection, run, cases):
    answer = run.answer("run")
    tables = {table["table"].removeprefix("public."): table for table in answer["tables"]}
    counted = run.counted()
    outcomes = []
    for case in cases:
        texts = truth(connection, case)
        outcome = Outcome(case, values=sum(text is not None for text in texts.values()))
        outcomes.append(outcome)
        table = tables.get(case.table)
        if table is None:
            outcome.fail("the run does not report it")
        elif table["state"] == "refused":
            outcome.refused = True
            if case.target is not None:
                outcome.fail(f"refused: {table['error']}")
            else:
                hints = run.documents()
                for word in case.says:
                    if word not in hints:
                        outcome.fail(f"the refusal does not say {word}: {table['error']}")
        elif table["state"] != "committed":
            outcome.fail(f"{table['state']}: {table['error']}")
        elif case.target is None:
            outcome.fail("it was not refused")
        else:
            outcome.judge(texts, run.copy(case), table["invalid"].get("v", 0))
            if counted.get(case.table) != table["invalid"].get("v", 0):
                outcome.fail(f"the receipts count {counted.get(case.table)} invalid values, the run {table['invalid']}")
    return outcomes


def check_targets(run, outcomes):
    """Whether each column is planned as the case says."""
    planned = {table["table"].removeprefix("public."): table["columns"] for table in run.answer("plan")["tables"]}
    for outcome in outcomes:
        for column in planned.get(outcome.case.table, []):
            if column["name"] == "v":
                outcome.target = shown(column)
                if outcome.case.target and not planned_as(outcome.case, column):
                    outcome.fail(f"planned as {outcome.target}, not {outcome.case.target}")
                if outcome.counted and not column["invalid"]:
                    outcome.fail("values are invalid, and the plan did not say that some could be")


# The statistics of these types hold the smallest and largest value, and invalid values are among those.
BOUNDED = ("date", "moment", "time", "decimal")


def check_warnings(run, outcomes):
    """Whether the plan warns if, and only if, the statistics show invalid values that would end the run."""
    warnings = "\n".join(run.answer("plan")["warnings"])
    for outcome in outcomes:
        warned = f"column `v` of `public.{outcome.case.table}` is likely" in warnings
        if warned and not outcome.counted:
            outcome.fail("no value is invalid, and the plan finds it likely")
        if outcome.counted and outcome.case.kind in BOUNDED and not warned:
            outcome.fail("values are invalid, and the plan does not find it likely")


def check_failing(connection, run, outcomes):
    """With `on_invalid: fail`, a table with an invalid value does not become visible, and no message contains a value."""
    answer = run.answer("run")
    documents = run.documents()
    tables = {table["table"].removeprefix("public."): table for table in answer["tables"]}
    hints = run.hints()
    for outcome in outcomes:
        case, table = outcome.case, tables[outcome.case.table]
        if table["state"] != "failed" or (run.folder / "warehouse" / case.table).exists():
            outcome.fail(f"on_invalid fail: {table['state']}")
            continue
        for word in (f"`public.{case.table}`", "`v`", "unit 0", "row "):
            if word not in table["error"]:
                outcome.fail(f"on_invalid fail: `{word}` is missing: {table['error']}")
        query = re.search(r"find such rows with `(.*)`$", hints.get(table["error"]) or answer.get("hint") or "", re.S)
        if query:
            # The query finds exactly the rows that were counted.
            try:
                found = {row[0] for row in connection.execute(f"SELECT id FROM ({query.group(1)}) AS found".encode())}
            except psycopg.Error as error:
                outcome.fail(f"on_invalid fail: {error}: {query.group(1)}")
                continue
            if found != outcome.invalid_rows:
                differing = sorted(found ^ outcome.invalid_rows)[:5]
                outcome.fail(f"on_invalid fail: the query finds other rows: {differing}: {query.group(1)}")
        elif case.kind in BOUNDED or isinstance(case.kind, list):
            outcome.fail(f"on_invalid fail: no query finds the rows: {hints.get(table['error'])}")
        for text in truth(connection, case).values():
            if text and text not in LIMITS and len(text) > 7 and text in documents:
                outcome.fail(f"on_invalid fail: the value {text!r:.200} was printed")


def outcomes_of(options):
    """The outcome of every case on one server."""
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    with Database(options.url) as database, tempfile.TemporaryDirectory(prefix="fidelity-") as folder:
        with database.connect() as connection:
            version = connection.info.server_version // 10_000
            have = install(connection)
            absent = []
            for case in CASES:
                if case.setup and case.since <= version:
                    connection.execute(case.setup)
            present = []
            for case in chosen:
                there = case.since <= version and (not case.extension or case.extension in have)
                if there and write(connection, case, generated(case, options.seed, options.values)) is not None:
                    present.append(case)
                else:
                    absent.append(case.name)
            connection.execute("ANALYZE")
            if options.settings:
                database.set(SETTINGS)
            jobs = []
            for name in ("null", "plan", "fail"):
                path = pathlib.Path(folder) / name
                path.mkdir()
                jobs.append(path)
            run = Run(options.sluice, database.url, present, "null", jobs[0])
            outcomes = judge_all(connection, run, present)
            check_targets(run, outcomes)
            check_warnings(Run(options.sluice, database.url, present, "fail", jobs[1]), outcomes)
            failing = [outcome for outcome in outcomes if outcome.counted]
            if failing:
                run = Run(options.sluice, database.url, [outcome.case for outcome in failing], "fail", jobs[2])
                check_failing(connection, run, failing)
        if options.keep:
            shutil.copytree(folder, options.keep, dirs_exist_ok=True)
    return version, outcomes, absent


def markdown(version, outcomes, absent):
    print(f"### PostgreSQL {version}\n")
    print("| type | target | values | exact | counted | refused | wrong |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for outcome in outcomes:
        case = outcome.case
        asked = f" as {case.wanted}" if case.wanted else ""
        refused = outcome.values if outcome.refused else 0
        print(f"| `{case.declared}`{asked} | {outcome.target or 'refused'} | {outcome.values} | {outcome.exact} | {outcome.counted} "
              f"| {refused} | {len(outcome.failures)} |")
    if absent:
        print(f"\nNot on this server: {', '.join(absent)}.")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a server where databases may be created")
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    parser.add_argument("--values", type=int, default=300, help="values of each type")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", action="append", help="a case's name")
    parser.add_argument("--settings", action="store_true", help="with other settings of the database")
    parser.add_argument("--markdown", action="store_true", help="print the table of outcomes")
    parser.add_argument("--keep", help="copy jobs, documents and Parquet to this folder")
    options = parser.parse_args()
    version, outcomes, absent = outcomes_of(options)
    if options.markdown:
        markdown(version, outcomes, absent)
    failures = [failure for outcome in outcomes for failure in outcome.failures[:5]]
    for failure in failures:
        print(f"fails: {failure}")
    if not options.markdown:
        print(json.dumps({"version": version, "types": len(outcomes), "exact": sum(o.exact for o in outcomes),
                          "counted": sum(o.counted for o in outcomes), "refused": sum(o.refused for o in outcomes), "absent": absent}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
