"""A PostgreSQL table with a column of each type, from the cases of `tests/fidelity`."""

import random

import psycopg
from cases import CASES, Case

ROWS = 60


def usable(connection: psycopg.Connection) -> list[Case]:
    """The cases whose type and values this server has, and that Sluice does not refuse."""
    version = connection.info.server_version // 10_000
    available = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    for extension in sorted({case.extension for case in CASES if case.extension} & available):
        connection.execute(f"CREATE EXTENSION {extension}")
    # Cases of `regclass` name this table.
    connection.execute("CREATE TABLE of_int4 (v int4)")
    found = []
    for case in CASES:
        if case.setup:
            connection.execute(case.setup)
        if case.target and case.since <= version and (not case.extension or case.extension in available):
            found.append(case)
    return found


def make(connection: psycopg.Connection, cases: list[Case]):
    """Makes the table `every`: each column has the extremes of its type, then generated values, NULL at last."""
    sources = {case.name: random.Random(case.name) for case in cases}

    def value(case, row):
        if row == ROWS - 1:
            return None
        if row < len(case.values) or not case.more:
            return case.values[row % len(case.values)] if case.values else None
        return case.more(sources[case.name]).replace("\0", "")

    declared = ", ".join(f'"{case.name}" {case.declared}' for case in cases)
    connection.execute(f"CREATE TABLE every (id int8 PRIMARY KEY, {declared})")
    places = ", ".join((case.through or "{}").format("%s") for case in cases)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO every VALUES (%s, {places})",
            ([row, *(value(case, row) for case in cases)] for row in range(ROWS)),
        )


def asked(cases: list[Case]) -> dict:
    """What the job says of the columns: values that the target cannot hold become NULL."""
    return {case.name: {"on_invalid": "null"} | ({"type": case.wanted} if case.wanted else {}) for case in cases}
