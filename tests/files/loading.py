"""Loads files with the program into a folder, and reads with pyarrow what that holds."""

import dataclasses
import datetime
import decimal
import json
import pathlib
import shutil
import subprocess
import tempfile

import pyarrow.parquet as parquet

# What Parquet has for each type of a target.
TYPES = {
    "int64": "INT64", "double": "FLOAT64", "bool": "BOOL", "date32[day]": "DATE", "time64[us]": "TIME", "timestamp[us]": "DATETIME",
    "timestamp[us, tz=UTC]": "TIMESTAMP", "string": "STRING", "decimal128(38, 9)": "NUMERIC", "decimal256(76, 38)": "BIGNUMERIC",
    "binary": "BYTES",
}


@dataclasses.dataclass
class Outcome:
    """What became of files: rows as texts, or a refusal."""

    code: int
    names: list[str] = dataclasses.field(default_factory=list)
    types: list[str] = dataclasses.field(default_factory=list)
    # In the order of the files.
    rows: list[tuple] = dataclasses.field(default_factory=list)
    invalid: dict[str, int] = dataclasses.field(default_factory=dict)
    units: int = 0
    # All that the program wrote, if it failed.
    said: str = ""
    error: str = ""


def text_of(value):
    """The one text of a value, whatever type it has."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case bytes():
            return value.hex()
        case decimal.Decimal():
            return plain(value)
        case datetime.datetime() if value.tzinfo:
            return value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat(" ") + "+00"
        case datetime.datetime():
            return value.isoformat(" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list():
            return repr([text_of(one) for one in value])
        case dict():
            return repr({name: text_of(one) for name, one in value.items()})
        case _:
            return repr(value)


def plain(value):
    """A decimal without needless zeros and without an exponent."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


class Loader:
    """Runs the program on files in folders of their own."""

    def __init__(self, program):
        self.program = program
        self.runs = 0

    def load(self, files, form=None, columns=None, chosen=None, partitioning=None, pattern="*"):
        """Loads files, given as their bytes by their names."""
        self.runs += 1
        with tempfile.TemporaryDirectory(prefix="files-") as name:
            folder = pathlib.Path(name)
            (folder / "in").mkdir()
            for file, content in files.items():
                (folder / "in" / file).write_bytes(content)
            source = {"url": f"file://{folder}/in/{pattern}"}
            if form:
                source["format"] = form
            if chosen:
                source["columns"] = chosen
            job = {"name": "files", "source": source, "target": {"table": f"file://{folder}/out/t"}}
            if columns:
                job["columns"] = columns
            if partitioning:
                job["partitioning"] = partitioning
            (folder / "job.json").write_text(json.dumps(job))
            command = [self.program, "run", "--json", str(folder / "job.json")]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if ended.returncode:
                return refused(ended)
            return loaded(json.loads(ended.stdout), folder / "out" / "t")


def refused(ended):
    try:
        error = json.loads(ended.stdout)
    except ValueError:
        error = {"error": f"no JSON: {ended.stdout[-500:]}"}
    return Outcome(ended.returncode, said=ended.stdout + ended.stderr, error=str(error.get("error")))


def loaded(answer, folder):
    [table] = answer["tables"]
    outcome = Outcome(0, invalid=table["invalid"], units=table["units"])
    # Names of parts tell the order of the units.
    for part in sorted(folder.glob("*.parquet")):
        read = parquet.read_table(part, partitioning=None)
        outcome.names = read.schema.names
        outcome.types = [TYPES.get(str(kind), str(kind)) for kind in read.schema.types]
        # Columns, since two may have one name in Python's dictionaries.
        columns = [[text_of(value) for value in column.to_pylist()] for column in read.columns]
        outcome.rows.extend(zip(*columns))
    return outcome


def differences(found, expected, most=3):
    """The first places where rows differ, for messages."""
    if len(found) != len(expected):
        yield f"{len(found)} rows instead of {len(expected)}"
    told = 0
    for row, (one, other) in enumerate(zip(found, expected)):
        if tuple(one) != tuple(other):
            yield f"row {row}: {shortened(one)} instead of {shortened(other)}"
            told += 1
            if told == most:
                return


def shortened(row):
    text = repr(tuple(row))
    return text if len(text) < 300 else text[:300] + "..."


def program_of(name):
    """The path of another program, or None if this machine has none."""
    return shutil.which(name)
