"""Programs of other people that write CSV, each as a function from columns to bytes.

A writer that does not tell empty texts from NULL is marked so: what it writes for both is nothing.
"""

import csv
import dataclasses
import datetime
import decimal
import io
import json
import pathlib
import subprocess
import tempfile
from collections.abc import Callable

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.csv as arrow_csv

from loading import program_of

ARROW = {
    "STRING": pyarrow.string(), "INT64": pyarrow.int64(), "NUMERIC": pyarrow.decimal128(38, 9), "BIGNUMERIC": pyarrow.decimal256(76, 38),
    "BOOL": pyarrow.bool_(), "DATE": pyarrow.date32(), "DATETIME": pyarrow.timestamp("us"), "TIMESTAMP": pyarrow.timestamp("us", "UTC"),
    "TIME": pyarrow.time64("us"),
}


@dataclasses.dataclass
class Writer:
    """How one program writes with some of its options."""

    name: str
    write: Callable[[list], bytes]
    # What the job says; all else is told.
    form: dict = dataclasses.field(default_factory=dict)
    tells_empty: bool = True
    # Tables that it cannot write.
    without: tuple = ()
    file: str = "a.csv"
    # What stands for NULL, if that is written in quotes too, and so means a text.
    texts_of_null: str | None = None
    # The program of this machine that writes, if not Python.
    needs: str | None = None


WRITERS: list[Writer] = []


def writer(name, **rest):
    def add(write):
        WRITERS.append(Writer(name, write, **rest))
        return write
    return add


def spelled(value):
    """The text of a value, for programs that know nothing but texts."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case decimal.Decimal():
            return f"{value:f}"
        case datetime.datetime():
            return value.isoformat(" ")
        case _:
            return str(value)


def records(columns):
    yield [column.name for column in columns]
    for row in zip(*(column.values for column in columns)):
        yield [spelled(value) for value in row]


def arrow(columns):
    # pyarrow and DuckDB print NUMERIC with all digits of its scale, so that what is told stays.
    return pyarrow.table({column.name: pyarrow.array(column.values, ARROW[column.told]) for column in columns})


def by_csv(encoding="utf-8", **options):
    def write(columns):
        text = io.StringIO(newline="")
        csv.writer(text, **options).writerows(records(columns))
        return text.getvalue().encode(encoding)
    return write


for label, options, form in [
    ("excel", {}, {}),
    ("unix", {"dialect": "unix"}, {}),
    ("semicolons", {"delimiter": ";", "lineterminator": "\n"}, {}),
    ("tabs", {"dialect": "excel-tab"}, {}),
    ("pipes", {"delimiter": "|"}, {"delimiter": "|"}),
    ("apostrophes", {"quotechar": "'"}, {"quote": "'"}),
    ("escaped quotes", {"doublequote": False, "escapechar": "\\", "quoting": csv.QUOTE_ALL}, {"escape": "\\"}),
    ("no quotes", {"quoting": csv.QUOTE_NONE, "escapechar": "\\", "quotechar": None}, {"quote": "", "escape": "\\"}),
]:
    # Its NULL is the empty text, which `QUOTE_ALL` puts in quotes.
    is_all = options.get("quoting") == csv.QUOTE_ALL or options.get("dialect") == "unix"
    WRITERS.append(Writer(f"csv, {label}", by_csv(**options), form, tells_empty=False, texts_of_null="" if is_all else None,
                          without=("single",)))

WRITERS.append(Writer("csv, UTF-8 with a mark", by_csv("utf-8-sig"), tells_empty=False, without=("single",)))
WRITERS.append(Writer("csv, UTF-16", by_csv("utf-16"), tells_empty=False, without=("single",)))
WRITERS.append(Writer("csv, UTF-16 big", lambda columns: b"\xfe\xff" + by_csv("utf-16-be")(columns), tells_empty=False, without=("single",)))


for name in ("latin1", "windows-1252"):
    WRITERS.append(Writer(f"csv, {name}", by_csv(name), {"encoding": name}, tells_empty=False, without=("texts", "single")))


def by_pandas(**options):
    def write(columns):
        frame = pandas.DataFrame({column.name: pandas.Series(column.values, dtype=object) for column in columns})
        # Booleans as others spell them, and numbers without an exponent.
        return frame.map(lambda value: value if pandas.isna(value) else spelled(value)).to_csv(index=False, **options).encode()
    return write


WRITERS.append(Writer("pandas", by_pandas(), tells_empty=False, without=("single",)))
WRITERS.append(Writer("pandas, QUOTE_NONNUMERIC", by_pandas(quoting=csv.QUOTE_NONNUMERIC), tells_empty=False, texts_of_null="", without=("single",)))
WRITERS.append(Writer("pandas, NULL named", by_pandas(na_rep="<null>"), {"null": "<null>"}))


@writer("pyarrow")
def by_arrow(columns):
    sink = pyarrow.BufferOutputStream()
    arrow_csv.write_csv(arrow(columns), sink)
    return sink.getvalue().to_pybytes()


def copied_by_duckdb(columns, options):
    """The bytes of a file that DuckDB's COPY writes with these options."""
    with tempfile.TemporaryDirectory(prefix="duckdb-") as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("written", arrow(columns))
        path = pathlib.Path(folder) / "file"
        connection.execute(f"COPY written TO '{path}' ({options})")
        return path.read_bytes()


def by_duckdb(options=""):
    return lambda columns: copied_by_duckdb(columns, f"FORMAT csv, HEADER{options}")


WRITERS.append(Writer("DuckDB", by_duckdb(), without=("typed",)))
WRITERS.append(Writer("DuckDB, all quoted", by_duckdb(", FORCE_QUOTE *"), without=("typed",)))
WRITERS.append(Writer("DuckDB, pipes and named NULL", by_duckdb(", DELIMITER '|', NULL '\\N'"), {"null": "\\N"}, without=("typed",)))


def by_polars(**options):
    def write(columns):
        return polars.from_arrow(arrow(columns)).write_csv(**options).encode()
    return write


WRITERS.append(Writer("Polars", by_polars(), without=("typed",)))
WRITERS.append(Writer("Polars, CRLF", by_polars(line_terminator="\r\n", separator=";"), without=("typed",)))
WRITERS.append(Writer("Polars, always quoted", by_polars(quote_style="always", null_value="NULL"), texts_of_null="NULL", without=("typed", "single")))


def by_program(command, code):
    """A program that reads a list of lists from its input."""
    def write(columns):
        data = json.dumps(list(records(columns))).encode()
        return subprocess.run([*command, code], input=data, capture_output=True, check=True).stdout
    return write


NODE = r"""
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"));
const field = (text) => text === null ? "" : text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
process.stdout.write(rows.map((row) => row.map(field).join(",")).join("\r\n"));
"""
PERL = r"""
use JSON::PP; use open qw(:std :utf8); local $/;
my $rows = JSON::PP->new->decode(<STDIN>);
for my $row (@$rows) {
    print join(",", map { my $text = $_; if (!defined $text) { "" } else { $text =~ s/"/""/g; qq("$text") } } @$row), "\r";
}
"""
WRITERS.append(Writer("node, no end of the last line", by_program(["node", "-e"], NODE), needs="node", without=("single",)))
WRITERS.append(Writer("perl, CR alone", by_program(["perl", "-e"], PERL), needs="perl", without=("texts",)))


@writer("sqlite3", needs="sqlite3", without=("empty",))
def by_sqlite(columns):
    """SQLite's shell, which ends lines with CRLF, and reads no CR out of its input."""
    quoted = lambda value: "NULL" if value is None else "'" + value.replace("'", "''").replace("\r", "'||char(13)||'") + "'"
    names, *rows = records(columns)
    said = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    statements = [f"CREATE TABLE t ({said});"]
    statements.extend(f"INSERT INTO t VALUES ({', '.join(map(quoted, row))});" for row in rows)
    command = ["sqlite3", "-csv", "-header", ":memory:"]
    output = subprocess.run(command, input="\n".join([*statements, "SELECT * FROM t;"]).encode(), capture_output=True, check=True)
    return output.stdout


def missing(one):
    """Whether this machine lacks the program."""
    return one.needs is not None and program_of(one.needs) is None
