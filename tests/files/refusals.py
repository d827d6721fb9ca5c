#!/usr/bin/env python3
"""Damages files, and demands refusals that say where: never a row, and never a value of the file.

    refusals.py --sluice PROGRAM
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import re
import sys

from loading import Loader, differences

# Stands in each damaged cell, and may stand in no message.
SECRET = "hunter2"
ROWS = "".join(f"{number},text {number}\n" for number in range(2, 50))


@dataclasses.dataclass
class Damage:
    """A file that has to be refused."""

    name: str
    content: bytes
    # What the message says besides the file; None for a line or a byte of any number.
    says: str | None = None
    form: dict = dataclasses.field(default_factory=dict)
    columns: dict = dataclasses.field(default_factory=dict)
    file: str = "a.csv"
    others: dict = dataclasses.field(default_factory=dict)
    partitioning: dict | None = None


def csv(name, text, says=None, **rest):
    content = text if isinstance(text, bytes) else text.encode()
    return Damage(name, content, says, **rest)


def lines(name, text, says=None, **rest):
    return csv(name, text, says, file="a.jsonl", **rest)


STRICT = {"v": {"type": "INT64"}}
HEAD = "id,v\n1,x\n"
# More than the look at a file reads, so that what comes later is a surprise.
MANY = "id,v\n" + "".join(f"{number},{number}\n" for number in range(120_000))
MANY_OBJECTS = '{"id": 1}\n' * 120_000

DAMAGES = [
    csv("a field too many", HEAD + f"2,{SECRET},3\n" + ROWS, "line 3"),
    csv("a field too few", HEAD + f"{SECRET}\n" + ROWS, "line 3"),
    csv("a line of blanks", HEAD + "   \n" + ROWS, "line 3"),
    csv("a delimiter at the end", HEAD + f"2,{SECRET},\n" + ROWS, "line 3"),
    csv("an open quote", HEAD + f'2,"{SECRET}\n' + ROWS, "line 3"),
    csv("an open quote at the end", HEAD + ROWS + f'50,"{SECRET}', "line 51"),
    csv("an open quote behind lines in quotes", 'id,v\n1,"a\nb\nc"\n' + f'2,"{SECRET}\n' + ROWS, "line 5"),
    csv("text behind a quote", HEAD + f'2,"x"{SECRET}\n' + ROWS, "line 3"),
    csv("a blank behind a quote", HEAD + f'2,"{SECRET}" \n' + ROWS, "line 3"),
    csv("a lone quote in quotes", HEAD + f'2,"x"{SECRET}"y"\n' + ROWS, "line 3"),
    csv("a lone CR", HEAD + f"2,{SECRET}\rx\n" + ROWS, "line 3"),
    csv("bytes that are not UTF-8", HEAD.encode() + b"2,\xff" + SECRET.encode() + b"\n" + ROWS.encode(), "line 3"),
    csv("half a surrogate", HEAD.encode() + b"2,\xed\xa0\x80\n" + ROWS.encode(), "line 3"),
    csv("a header that is not UTF-8", b"id,\xff\n1,2\n", "header"),
    csv("a column twice", f"v,v\n{SECRET},2\n", "`v`", form={"header": True}),
    csv("a column twice, and nothing said of a header", f"v,v\n{SECRET},2\n", "`v`"),
    csv("columns that differ by case", f"v,V\n{SECRET},2\n", "`V`"),
    csv("an integer that is none", MANY + f"9,{SECRET}\n", "line 120002"),
    csv("an integer with a zero", MANY + "9,0123\n", "line 120002"),
    csv("an integer that is too large", MANY + "9,9223372036854775808\n", "line 120002"),
    csv("an integer with a blank", MANY + "9,1 \n", "line 120002"),
    csv("an integer that is a decimal", MANY + "9,1.5\n", "line 120002"),
    csv("an integer, asked", HEAD + ROWS, "line 2", columns=STRICT),
    csv("behind lines in quotes", 'id,v\n"1\n2\n3",5\n' + f"4,{SECRET}\n", "line 5", columns=STRICT),
    csv("behind CRLF", f"id,v\r\n1,5\r\n2,{SECRET}\r\n", "line 3", columns=STRICT),
    csv("behind CR", f"id,v\r1,5\r2,{SECRET}\r", "line 3", columns=STRICT),
    csv("behind lines that are skipped", f"one\ntwo\nid,v\n1,5\n2,{SECRET}\n", "line 5", form={"skip_lines": 2}, columns=STRICT),
    csv("behind comments", f"#one\nid,v\n#two\n1,5\n2,{SECRET}\n", "line 5", form={"comment": "#"}, columns=STRICT),
    csv("behind doubled quotes", 'id,v\n"1""\n""2",5\n' + f"4,{SECRET}\n", "line 4", columns=STRICT),
    csv("more lines to skip than there are", f"id,v\n1,{SECRET}\n", "", form={"skip_lines": 20}),
    csv("in a range", MANY + f"9,{SECRET}\n" + "".join(f"{number},{number}\n" for number in range(40_000)), "byte",
        partitioning={"strategy": "file_range", "target_rows": 20_000}),
    csv("ragged in a range", MANY + f"9,{SECRET},1\n", "byte", partitioning={"strategy": "file_range", "target_rows": 20_000}),
    csv("an unknown column of another file", f"id,v\n1,{SECRET}\n", "`w`", others={"b.csv": b"id,v,w\n1,2,3\n"}),
    csv("a missing column of another file", f"id,v\n1,{SECRET}\n", "`v`", others={"b.csv": b"id\n1\n"}),
    csv("a column of no file", f"id,v\n1,{SECRET}\n", "`w`", columns={"w": {"type": "INT64"}}),
    csv("half a character of UTF-16", "id,v\n1,x\n".encode("utf-16") + b"x", "line", form={"encoding": "utf-16"}),
    csv("half a surrogate in UTF-16", b"\xff\xfe" + "id,v\n1,x\n2,".encode("utf-16-le") + b"\x00\xd8\n\x00", "line 3"),
    csv("one meaning for two characters", f'"a",b\n1,{SECRET}\n', "two meanings", form={"comment": '"'}),
    csv("a delimiter that is the quote", f'a"b\n1"{SECRET}\n', "two meanings", form={"delimiter": '"'}),
    csv("an escape that is the delimiter", f"a,b\n1,{SECRET}\n", "two meanings", form={"delimiter": ",", "escape": ","}),
    lines("a key twice", f'{{"a": 1}}\n{{"a": "{SECRET}", "a": 2}}\n', "line 2"),
    lines("a key twice, once NULL", f'{{"a": 1}}\n{{"a": null, "a": "{SECRET}"}}\n', "line 2"),
    lines("an escaped key twice", f'{{"a": 1}}\n{{"a": "{SECRET}", "\\u0061": 2}}\n', "line 2"),
    lines("a key twice that is not read", '{"a": 1, "b": 1}\n' + f'{{"a": 1, "b": "{SECRET}", "b": 2}}\n', "line 2", form={"unknown": "ignore"}),
    lines("an unknown key", MANY_OBJECTS + f'{{"id": 1, "twice": "{SECRET}"}}\n', "does not know the key `twice`"),
    lines("no JSON", f'{{"a": 1}}\n{{"a": {SECRET}}}\n', "line 2"),
    lines("NaN", '{"a": 1}\n{"a": NaN}\n', "line 2"),
    lines("an object that is cut", f'{{"a": 1}}\n{{"a": "{SECRET}\n', "line 2"),
    lines("two objects in a line", f'{{"a": 1}}\n{{"a": 1}}{{"a": "{SECRET}"}}\n', "line 2"),
    lines("a list", f'[{{"a": 1}},\n{{"a": "{SECRET}"}}]\n', "line 1"),
    lines("a text", f'{{"a": 1}}\n"{SECRET}"\n', "line 2"),
    lines("bytes that are not UTF-8", b'{"a": "x"}\n{"a": "\xff' + SECRET.encode() + b'"}\n', "line 2"),
    lines("a text among integers", MANY_OBJECTS + f'{{"id": "{SECRET}"}}\n', "line 120001"),
    lines("an integer in quotes", MANY_OBJECTS + '{"id": "7"}\n', "line 120001"),
    lines("an object among integers", MANY_OBJECTS + f'{{"id": {{"a": "{SECRET}"}}}}\n', "line 120001"),
    lines("half a surrogate", f'{{"a": "x"}}\n{{"a": "{SECRET}\\ud800"}}\n', "line 2"),
]


def check(loader, damage, fail):
    files = {damage.file: damage.content, **damage.others}
    outcome = loader.load(files, form=damage.form or None, columns=damage.columns or None, partitioning=damage.partitioning)
    if not outcome.code:
        return fail(f"{damage.name}: is read as {outcome.rows[-3:]}")
    if damage.says and not re.search(rf"{re.escape(damage.says)}(?!\d)", outcome.error):
        fail(f"{damage.name}: the error says nothing of {damage.says}: {outcome.error}")
    names = [damage.file, *damage.others]
    if damage.says not in ("two meanings", "`w`", "`V`") and not any(name in outcome.error for name in names):
        fail(f"{damage.name}: the error names no file: {outcome.error}")
    if SECRET in outcome.said:
        fail(f"{damage.name}: the error shows a value: {outcome.error}")
    return None


def check_counted(loader, fail):
    """What `on_invalid: null` counts."""
    content = f"id,v\n1,5\n2,{SECRET}\n3,\n4,9223372036854775808\n5,\"\"\n".encode()
    outcome = loader.load({"a.csv": content}, columns={"v": {"type": "INT64", "on_invalid": "null"}})
    expected = [("1", "5"), ("2", None), ("3", None), ("4", None), ("5", None)]
    if outcome.code or outcome.invalid != {"v": 2}:
        fail(f"on_invalid: {outcome.invalid} are counted: {outcome.error}")
    for difference in differences(outcome.rows, expected):
        fail(f"on_invalid: {difference}")


# Files that are right, though they look odd, and what they mean.
N = None
ODD = [
    ("NULL of MySQL with its escape", b"id\tv\n1\t\\N\n2\t\\\\N\n3\tN\n4\ta\\\tb\n", [("1", N), ("2", "\\N"), ("3", "N"), ("4", "a\tb")],
     {"delimiter": "\t", "quote": "", "escape": "\\", "null": "\\N"}),
    ("a told escape beside a NULL", b'id,v\n1,\\N\n2,"a\\"b"\n3,N\n', [("1", N), ("2", 'a"b'), ("3", "N")], {"null": "\\N"}),
    ("comments where CR ends lines", b"id,v\r#note\r1,x\r2,y\r", [("1", "x"), ("2", "y")], {"comment": "#"}),
    ("skipped lines where CR ends them", b"junk\rid,v\r1,x\r2,y\r", [("1", "x"), ("2", "y")], {"skip_lines": 1}),
    ("an index without a name, as pandas writes it", b",a,b\n0,1,2\n1,3,4\n", [("0", "1", "2"), ("1", "3", "4")], {"header": True}),
    ("the same with nothing said of a header", b",a,b\n0,1,2\n1,3,4\n", [("0", "1", "2"), ("1", "3", "4")], {}),
    ("a header that ends in a delimiter", b"a,b,\nx,y,\n", [("x", "y", N)], {}),
    ("a header with years", b"name,2024,2025\nx,1,2\n", [("x", "1", "2")], {"header": True}),
    ("one column with semicolons in most rows", b"v\na;b\nc;d\ne;f\n", [("a;b",), ("c;d",), ("e;f",)], {}),
    ("an empty text in quotes among integers, beside a named NULL", b'id,v\n1,5\n2,""\n3,\\N\n', [("1", "5"), ("2", N), ("3", N)],
     {"null": "\\N"}),
    ("a file of blank lines before others", b"\n\n", [("1", "2")], {}),
]


def check_odd(loader, odd, fail):
    name, content, rows, form = odd
    others = {"b.csv": b"a,b\n1,2\n"} if not content.strip() else {}
    outcome = loader.load({"a.csv": content, **others}, form=form)
    if outcome.code:
        return fail(f"{name}: {outcome.error}")
    for difference in differences(outcome.rows, rows):
        fail(f"{name}: {difference}")
    return None


def check_ends(loader, fail):
    """One column, whose blank lines are NULL, in files whose lines end in other ways."""
    outcome = loader.load({"a.csv": b"v\r1\r2\r", "b.csv": b"v\r\n3\r\n4\r\n"})
    for difference in [] if outcome.code else differences(outcome.rows, [("1",), ("2",), ("3",), ("4",)]):
        fail(f"CR in one file, CRLF in the next: {difference}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.environ.get("TEST_SLUICE"), help="the program")
    failures = []
    loader = Loader(parser.parse_args().sluice)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda damage: check(loader, damage, failures.append), DAMAGES))
        list(pool.map(lambda odd: check_odd(loader, odd, failures.append), ODD))
    check_counted(loader, failures.append)
    check_ends(loader, failures.append)
    for failure in failures:
        print(f"fails: {failure}")
    print(json.dumps({"failures": len(failures), "damages": len(DAMAGES), "odd": len(ODD)}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
