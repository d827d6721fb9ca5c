#!/usr/bin/env python3
"""Compares each value that the program makes of JSON lines with what other people's programs were given to write.

    json_lines.py --sluice PROGRAM
"""

import argparse
import datetime
import decimal
import io
import json
import os
import sys

import pandas
import polars

from loading import Loader, differences, text_of
from tables import TEXTS, rows_of, typed, wide
from writers import arrow, copied_by_duckdb

NESTED = [{"a": 1, "b": [1, 2.5, None, "x"]}, [], {}, {"ü": {"deep": [[["😀"]]]}}, None]


def objects(columns):
    names = [column.name for column in columns]
    for row in rows_of(columns):
        yield dict(zip(names, row))


def plain(value):
    """What `json` writes for a value that JSON has no type for."""
    return value.isoformat(" ") if isinstance(value, datetime.datetime) else str(value)


def by_json(rows, **options):
    return "".join(json.dumps(row, default=plain, **options) + "\n" for row in rows).encode()


def by_pandas(rows, **options):
    return pandas.DataFrame(rows, dtype=object).to_json(orient="records", lines=True, **options).encode()


def by_polars(columns):
    sink = io.BytesIO()
    polars.from_arrow(arrow(columns)).write_ndjson(sink)
    return sink.getvalue()


def by_duckdb(columns):
    return copied_by_duckdb(columns, "FORMAT json")


class Check:
    """Loads and compares, and counts."""

    def __init__(self, program):
        self.loader = Loader(program)
        self.failures = []
        self.values = 0

    def equal(self, which, content, rows, told=None, **arguments):
        outcome = self.loader.load({"a.jsonl": content}, **arguments)
        if outcome.code:
            return self.failures.append(f"{which}: {outcome.error}")
        if told and outcome.types != told:
            self.failures.append(f"{which}: types {outcome.types} instead of {told}")
        self.failures.extend(f"{which}: {difference}" for difference in differences(outcome.rows, rows))
        self.values += sum(map(len, rows))

    def texts(self):
        """Texts with all that JSON escapes."""
        rows = [{"n": number, "text": text} for number, text in enumerate([*TEXTS, "\x01\x1f\x7f/</script>", "\b\f"])]
        expected = [(str(row["n"]), row["text"]) for row in rows]
        told = ["INT64", "STRING"]
        self.equal("texts by json", by_json(rows), expected, told)
        self.equal("texts by json, unescaped", by_json(rows, ensure_ascii=False), expected, told)
        self.equal("texts by json, indented keys", by_json(rows, separators=(" , ", "\t:\t")), expected, told)
        self.equal("texts by json, CRLF", by_json(rows).replace(b"\n", b"\r\n"), expected, told)
        self.equal("texts by json, no last end", by_json(rows).rstrip(b"\n"), expected, told)
        self.equal("texts by json, a mark", b"\xef\xbb\xbf" + by_json(rows), expected, told)
        self.equal("texts by json, blank lines", by_json(rows).replace(b"\n", b"\n\n \t\n"), expected, told)
        self.equal("texts by pandas", by_pandas(rows), expected, told)
        self.equal("texts by pandas, unescaped", by_pandas(rows, force_ascii=False), expected, told)

    def types(self):
        """What is told of the values that each program spells in its way."""
        kept = [column for column in typed() if column.told not in ("NUMERIC", "BIGNUMERIC")]
        expected = [tuple(map(text_of, row)) for row in rows_of(kept)]
        told = [column.told for column in kept]
        self.equal("types by json", by_json(objects(kept)), expected, told)
        self.equal("types by DuckDB", by_duckdb(kept), expected, told)
        columns = [column for column in kept if column.told in ("INT64", "BOOL", "DATE")]
        self.equal("types by Polars", by_polars(columns), [tuple(map(text_of, row)) for row in rows_of(columns)])
        self.equal("300 keys by json", by_json(objects(wide())), [tuple(map(text_of, row)) for row in rows_of(wide())])

    def verbatim(self):
        """Values of JSON columns are the text that stands in the file."""
        rows = [{"n": number, "v": value} for number, value in enumerate(NESTED)]
        for label, options in (("json", {}), ("json, unescaped", {"ensure_ascii": False}), ("json, close", {"separators": (",", ":")})):
            expected = [(str(row["n"]), None if row["v"] is None else json.dumps(row["v"], **options)) for row in rows]
            self.equal(f"nested by {label}", by_json(rows, **options), expected)
        raw = ["1.10", "1e400", "-0", "12345678901234567890123456789012345678901234567890.5", '{"a": 1, "a": 2}', '"\\ud83d\\ude00"', "[ 1 ,2 ]",
               "true", '{"a":  {"b" :1.0}}', "0.1e-7", '["\\ud800"]', "[" * 100 + "]" * 100]
        lines = "".join(f'{{"n": {number}, "v": {value}}}\n' for number, value in enumerate(raw)).encode()
        self.equal("verbatim", lines, [(str(number), value) for number, value in enumerate(raw)])
        for value in raw:
            self.equal(f"verbatim {value[:20]}", f'{{"v": {value}}}\n'.encode(), [(value,)], columns={"v": {"type": "JSON"}})

    def numbers(self):
        """Nothing of a number is lost, whatever type is told."""
        for text in ["1.10", "1e5", "1e400", "1e-400", "4e-324", "5e-324", "-0", "-0.0", "9007199254740993", "9007199254740993.5", "1e23",
                     "0.1234567891234567891", "123456789012345678901234567890", "2.5e-9", "1.7976931348623157e308", "1E+2"]:
            outcome = self.loader.load({"a.jsonl": f'{{"v": {text}}}\n'.encode()})
            if outcome.code:
                self.failures.append(f"number {text}: {outcome.error}")
            elif is_lost(text, outcome.rows[0][0]):
                self.failures.append(f"number {text}: became {outcome.rows[0][0]} as {outcome.types[0]}")
            self.values += 1
        strings = ["0.1234567891", "12345678901.1234567891", "1.5", "1", "true"]
        for text in strings:
            self.equal(f"string {text}", by_json([{"v": text}]), [(text,)], ["STRING"])


def is_lost(text, found):
    """Whether a value is another one. That of a double is what is printed for it."""
    value = decimal.Decimal(text)
    return value != decimal.Decimal(found) or value.is_signed() != decimal.Decimal(found).is_signed()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    check = Check(parser.parse_args().sluice)
    for part in (check.texts, check.types, check.verbatim, check.numbers):
        part()
    for failure in check.failures:
        print(f"fails: {failure}")
    print(json.dumps({"failures": len(check.failures), "files": check.loader.runs, "values": check.values}))
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
