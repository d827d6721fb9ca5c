#!/usr/bin/env python3
"""Moves money out of databases of several currencies.

A value is a count of the currency's smallest unit, so `lc_monetary` of the database decides where the
point is. The setting of the reading role must not decide it.

    money.py URL
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
from decimal import Decimal

from cases import Case
from moving import Database, Run
from outcomes import truth

CURRENCIES = ["C", "de_DE.UTF-8", "ja_JP.UTF-8", "ar_BH.UTF-8"]
UNITS = [0, 1, -1, 99, 100, -123456, 2**53 + 1, 2**63 - 1, -(2**63)]
CASES = [
    Case("money", "money", "NUMERIC", [], asked="v::numeric"),
    Case("moneys", "money[]", "NUMERIC[]", []),
    Case("money_text", "money", "STRING", [], wanted="STRING", asked="v::numeric"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a server where databases may be created")
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    options = parser.parse_args()
    failures, done = [], 0
    for currency in CURRENCIES:
        with Database(options.url) as database, tempfile.TemporaryDirectory(prefix="money-") as folder:
            database.set({"lc_monetary": currency})
            with database.connect() as connection:
                for case in CASES:
                    value = "array[%s::money]" if case.name == "moneys" else "%s::money"
                    connection.execute(f"CREATE TABLE {case.table} (id int PRIMARY KEY, v {case.declared})")
                    one = connection.execute("SELECT '1'::money::numeric").fetchone()[0]
                    smallest = one.as_tuple().exponent
                    for row, units in enumerate(UNITS):
                        amount = Decimal(units).scaleb(smallest)
                        connection.execute(f"INSERT INTO {case.table} VALUES (%s, {value})", (row, amount))
                others = [other for other in CURRENCIES if other != currency]
                connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database.name} SET lc_monetary = '{others[-1]}'")
                run = Run(options.sluice, database.url, CASES, "fail", pathlib.Path(folder))
                for table in run.answer("run")["tables"]:
                    if table["state"] != "committed":
                        failures.append(f"{currency}: {table['error']}")
                expected = {row: Decimal(units).scaleb(smallest) for row, units in enumerate(UNITS)}
                if {row: Decimal(text) for row, text in truth(connection, CASES[0]).items()} != expected:
                    failures.append(f"{currency}: the server itself has other numbers")
                if run.copy(CASES[0]) != expected:
                    failures.append(f"{currency}: {run.copy(CASES[0])}")
                if run.copy(CASES[1]) != {row: [amount] for row, amount in expected.items()}:
                    failures.append(f"{currency}: in an array, {run.copy(CASES[1])}")
                if {row: Decimal(text) for row, text in run.copy(CASES[2]).items()} != expected:
                    failures.append(f"{currency}: as text, {run.copy(CASES[2])}")
                done += 1
    for failure in failures:
        print(f"fails: {failure}")
    print(json.dumps({"currencies": done}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
