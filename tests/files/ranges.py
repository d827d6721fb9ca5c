#!/usr/bin/env python3
"""Loads tables that nobody would think of, cut at any bytes, and compares them with what was written.

Each table is written with options of its own, loaded as one file and in ranges. Both have to have exactly the
rows that were written, unless the program says that it cannot cut the file.

    ranges.py --sluice PROGRAM [--tables N] [--seed N]
"""

import argparse
import codecs
import concurrent.futures
import json
import os
import random
import sys

from loading import Loader, differences

# What the texts of one table are made of: each has a character of its own.
ALPHABETS = [
    ["a", "b", "7", " "],
    ["a", ",", '"', "\n"],
    ['"', "\n", ","],
    ["a", "\r\n", '"', "\\", ";"],
    ["\n", "\r", "\t", "|", "x"],
    ["é", "😀", "e\u0301", "\\", "#", "'"],
    ['"', '""', '",', ',"', '\n"', '"\n', '","', '"\n"'],
    ["0", "1", ".", "-", "\\N", ""],
]


class Dialect:
    """How one table is written."""

    def __init__(self, r):
        self.delimiter = r.choice([",", ",", ";", "\t", "|"])
        self.quote = r.choice(['"', '"', '"', "'"])
        self.escape = r.choice([None, None, None, "\\"])
        self.end = r.choice(["\n", "\n", "\r\n"])
        self.null = r.choice(["", "", "\\N", "NULL"])
        self.header = r.choice([True, True, False])
        self.bom = r.choice([False, False, False, True])
        self.last_end = r.choice([True, True, False])
        self.always = r.choice([False, False, True])
        self.comment = r.choice([None, None, None, "#"])
        self.skip = r.choice([0, 0, 0, 2])
        self.encoding = r.choice(["utf-8", "utf-8", "utf-8", "latin1"])

    def form(self):
        """The same as `source.format` says it."""
        form = {"type": "csv", "delimiter": self.delimiter, "quote": self.quote, "header": self.header}
        # Said, since a few records may look as if they had one.
        form["escape"] = self.escape or self.quote
        if self.null:
            form["null"] = self.null
        if self.comment:
            form["comment"] = self.comment
        if self.skip:
            form["skip_lines"] = self.skip
        if self.encoding != "utf-8":
            form["encoding"] = self.encoding
        return form

    def field(self, r, text):
        if text is None:
            return self.null
        special = (self.delimiter, self.quote, "\n", "\r", self.escape, self.comment)
        is_plain = text not in ("", self.null) and not any(one in text for one in special if one)
        if is_plain and not self.always and r.random() < 0.8:
            return text
        if self.escape:
            text = text.replace(self.escape, self.escape * 2).replace(self.quote, self.escape + self.quote)
        else:
            text = text.replace(self.quote, self.quote * 2)
        return self.quote + text + self.quote

    def write(self, r, names, rows):
        lines = ['before "the\theader' for _ in range(self.skip)]
        if self.header:
            lines.append(self.delimiter.join(self.field(r, name) for name in names))
        for row in rows:
            if self.comment and r.random() < 0.1:
                lines.append(f'{self.comment} says "nothing{self.delimiter}')
            if len(names) > 1 and r.random() < 0.02:
                lines.append("")
            lines.append(self.delimiter.join(self.field(r, text) for text in row))
        ends = self.last_end or rows and rows[-1] == (None,)
        text = self.end.join(lines) + (self.end if lines and ends else "")
        if self.encoding != "utf-8":
            return text.encode("latin1")
        return ("\ufeff" if self.bom else "").encode() + text.encode()


def table(r, dialect):
    """Names and rows of texts."""
    width = r.choice([1, 2, 2, 3, 5, 12])
    alphabet = r.choice(ALPHABETS)
    if dialect.encoding == "latin1":
        alphabet = [one if one.isascii() else "é" for one in alphabet]

    def text():
        if r.random() < 0.15:
            return None
        length = r.choice([0, 1, 2, 3, 5, 8, 40]) if r.random() < 0.99 else 3000
        return "".join(r.choices(alphabet, k=length))

    rows = [tuple(text() for _ in range(width)) for _ in range(r.choice([0, 1, 3, 30, 300, 1500, 1500]))]
    return [f"c{number}" for number in range(width)], rows


def check(loader, seed, fail, counts):
    r = random.Random(seed)
    dialect = Dialect(r)
    names, rows = table(r, dialect)
    content = dialect.write(r, names, rows)
    columns = {name: {"type": "STRING"} for name in names}
    arguments = {"form": dialect.form(), "columns": columns, "chosen": None if dialect.header else names}
    for strategy in ({"strategy": "file"}, {"strategy": "file_range", "target_rows": r.choice([1, 7, 100])}):
        outcome = loader.load({"a.csv": content}, partitioning=strategy, **arguments)
        which = f"seed {seed}, {strategy}, {dialect.form()}"
        if outcome.code:
            is_whole = strategy["strategy"] == "file"
            # That is allowed: a file whose records nobody can find is not cut, but never misread.
            if not is_whole and "ends within a record" in outcome.error:
                counts["refused"] += 1
            # A file without a character tells no columns.
            elif content.removeprefix(codecs.BOM_UTF8) and (rows or is_whole):
                fail(f"{which}: {outcome.error}")
            continue
        for difference in differences(outcome.rows, rows):
            fail(f"{which}: {difference}")
        counts["equal"] += 1
        counts["ranges"] += outcome.units > 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    parser.add_argument("--tables", type=int, default=60, help="how many tables are tried")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="the first table's seed; each has the next one")
    options = parser.parse_args()
    failures, counts = [], {"equal": 0, "ranges": 0, "refused": 0}
    loader = Loader(options.sluice)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        seeds = range(options.seed, options.seed + options.tables)
        for _ in pool.map(lambda seed: check(loader, seed, failures.append, counts), seeds):
            pass
    for failure in failures:
        print(f"fails: {failure}")
    print(json.dumps({"seed": options.seed, "failures": len(failures), **counts}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
