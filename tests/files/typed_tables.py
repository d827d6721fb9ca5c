"""Columns of every type of Parquet and Avro, and how other people's programs write them."""

import bz2
import dataclasses
import datetime
import decimal
import io
import itertools
import json
import pathlib
import struct
import tempfile
import uuid
import zlib

import duckdb
import fastavro
import pyarrow
import pyarrow.parquet as parquet
import zstandard

from loading import text_of
from tables import TEXTS, repeated

D = decimal.Decimal
UTC = datetime.timezone.utc
# No message has this value.
SECRET = "s3cret-value"
NULLED = {"v": {"on_invalid": "null"}}
IDS = [uuid.UUID(int=number) for number in (0, 2**128 - 1, 0x0CF81F9038402E85910CFAD17D0051B3)]
DAYS = [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(2024, 2, 29), datetime.date(1969, 12, 31)]
CLOCKS = [datetime.time(0), datetime.time(23, 59, 59, 999000), datetime.time(12, 30, 1)]
MOMENTS = [datetime.datetime(1, 1, 1), datetime.datetime(1600, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
           datetime.datetime(2500, 7, 1, 12), datetime.datetime(9999, 12, 31, 23, 59, 59, 999000)]
# Those that 64 bits of nanoseconds have.
NEAR = [datetime.datetime(1700, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), datetime.datetime(2262, 1, 1)]


@dataclasses.dataclass
class Kind:
    """A column of a type: what is written, and what has to arrive."""

    name: str
    type: pyarrow.DataType
    told: str
    values: list
    # What arrives, if not the same.
    loaded: list | None = None

    def rows(self):
        return list(map(text_of, self.values if self.loaded is None else self.loaded))


def zoned(moments):
    return [moment.replace(tzinfo=UTC) for moment in moments]


def scalars():
    """A column of each single type of Arrow that Parquet has."""
    p = pyarrow
    integers = [Kind(f"{sign}int{bits}", getattr(p, f"{sign}int{bits}")(), "INT64",
                     [0 if sign else -2**(bits - 1), 2**(bits - (not sign)) - 1, None, 7])
                for sign, bits in itertools.product(("", "u"), (8, 16, 32, 64)) if (sign, bits) != ("u", 64)]
    floats = [0.5, -0.0, float("nan"), float("-inf"), None]
    texts = [text for text in TEXTS if text is None or len(text) < 1000]
    blobs = [b"\x00\xff", b"", None, b"plain"]
    numbers = [D("-999.99"), D("0.01"), None, D("999.99"), D("1.10")]
    return [
        *integers, Kind("uint64", p.uint64(), "decimal128(20, 0)", [0, 2**64 - 1, None]), Kind("truth", p.bool_(), "BOOL", [True, False, None]),
        Kind("half", p.float16(), "FLOAT64", [*floats, 65504.0]), Kind("float", p.float32(), "FLOAT64", [*floats, 3.4028234663852886e38]),
        Kind("double", p.float64(), "FLOAT64", [*floats, 0.1, 5e-324]), Kind("small", p.decimal128(5, 2), "decimal128(5, 2)", numbers),
        Kind("eighteen", p.decimal128(18, 4), "decimal128(18, 4)", [D("-99999999999999.9999"), None, D("0.0001")]),
        Kind("money", p.decimal128(38, 9), "NUMERIC", [D("9" * 29 + "." + "9" * 9), D("-1.10"), None]),
        Kind("exact", p.decimal256(76, 38), "BIGNUMERIC", [D("0." + "1" * 38), None, D("-" + "9" * 37 + ".5")]),
        # No type of numbers has so many digits.
        Kind("finest", p.decimal256(76, 50), "STRING", [D("1." + "5" * 50), None], ["1." + "5" * 50, None]),
        Kind("text", p.string(), "STRING", texts), Kind("large text", p.large_string(), "STRING", texts),
        Kind("text view", p.string_view(), "STRING", texts), Kind("word", p.dictionary(p.int32(), p.string()), "STRING", ["a", "b", None, "a"]),
        Kind("blob", p.binary(), "BYTES", blobs), Kind("large blob", p.large_binary(), "BYTES", blobs),
        Kind("blob view", p.binary_view(), "BYTES", blobs),
        Kind("fixed", p.binary(3), "BYTES", [b"\x00\xff\x01", None, b"abc"]), Kind("day", p.date32(), "DATE", [*DAYS, None]),
        Kind("millis", p.time32("ms"), "TIME", [*CLOCKS, None]), Kind("micros", p.time64("us"), "TIME", [*CLOCKS, None, datetime.time(0, 0, 0, 1)]),
        Kind("nanos", p.time64("ns"), "TIME", [*CLOCKS, None, datetime.time(0, 0, 0, 1)]), Kind("nothing", p.null(), "STRING", [None]),
        Kind("local ms", p.timestamp("ms"), "DATETIME", [*MOMENTS, None]), Kind("local us", p.timestamp("us"), "DATETIME", [*MOMENTS, *NEAR, None]),
        Kind("local ns", p.timestamp("ns"), "DATETIME", [*NEAR, None]), Kind("at ms", p.timestamp("ms", "UTC"), "TIMESTAMP", zoned(MOMENTS)),
        Kind("at us", p.timestamp("us", "Europe/Berlin"), "TIMESTAMP", zoned(MOMENTS[1:4])),
        Kind("at ns", p.timestamp("ns", "UTC"), "TIMESTAMP", zoned(NEAR)),
        Kind("id", p.uuid(), "STRING", [*(one.bytes for one in IDS), None], [*map(str, IDS), None]),
        Kind("json", p.json_(), "STRING", ['{"a":  1.10, "a": 2}', "[]", None, '"x"', "1e400"]),
    ]


def nested():
    """Lists, records and maps, with NULL at each place that may have one."""
    p = pyarrow
    inner = p.struct([("a", p.int64()), ("b", p.struct([("c", p.string()), ("at", p.timestamp("ms", "UTC")), ("d", p.decimal128(9, 2))]))])
    record = {"a": 1, "b": {"c": "ü", "at": MOMENTS[0].replace(tzinfo=UTC), "d": D("1.10")}}
    blank, half = {"a": None, "b": None}, {"a": 2, "b": {"c": None, "at": None, "d": None}}
    pairs = [[("k", 1), ("l", None)], [], None]
    return [
        Kind("list", p.list_(p.int64()), "list<element: int64>", [[1, 2], [], None, [3]]),
        Kind("large list", p.large_list(p.string()), "list<element: string>", [["a", ""], [], None]),
        Kind("pair", p.list_(p.int16(), 2), "list<element: int64>", [[1, 2], [3, 4]]),
        Kind("lists", p.list_(p.list_(p.int32())), "list<element: struct<element: list<element: int64>>>", [[[1], [], [2, 3]], [], None],
             [[{"element": [1]}, {"element": []}, {"element": [2, 3]}], [], None]),
        Kind("record", inner, "struct<a: int64, b: struct<c: string, at: timestamp[us, tz=UTC], d: decimal128(9, 2)>>", [record, None, blank, half]),
        Kind("records", p.list_(inner), "list<element: struct<a: int64, b: struct<c: string, at: timestamp[us, tz=UTC], d: decimal128(9, 2)>>>",
             [[record, blank], [], None, [half]]),
        Kind("map", p.map_(p.string(), p.int64()), "list<element: struct<key: string, value: int64>>", pairs,
             [pair and [{"key": key, "value": value} for key, value in pair] for pair in pairs]),
    ]


def filled(kinds, count):
    """Columns of so many rows each."""
    for kind in kinds:
        loaded = repeated(kind.loaded, count) if kind.loaded else None
        yield dataclasses.replace(kind, values=repeated(kind.values, count), loaded=loaded)


def by_arrow(kinds, nullable=True, **options):
    fields = [pyarrow.field(kind.name, kind.type, nullable) for kind in kinds]
    arrays = [pyarrow.array(kind.values, kind.type) for kind in kinds]
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays, pyarrow.schema(fields)), sink, **options)
    return sink.getvalue()


def column(kind, values):
    return by_arrow([Kind("v", kind, "", values)])


def by_duckdb(select):
    with tempfile.TemporaryDirectory(prefix="duckdb-") as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        path = pathlib.Path(folder) / "a.parquet"
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
        return path.read_bytes()


def number(value):
    """A number of Avro."""
    value, packed = (value << 1) ^ (value >> 63), b""
    while value > 0x7F:
        packed, value = packed + bytes([value & 0x7F | 0x80]), value >> 7
    return packed + bytes([value])


def container(schema, blocks, codec="null", pack=bytes):
    """An Avro file of blocks: how many records each says that it has, and their bytes."""
    entries = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    header = number(len(entries)) + b"".join(number(len(part)) + part for key, value in entries.items() for part in (key.encode(), value)) + b"\0"
    marker = bytes(range(100, 116))
    return b"Obj\x01" + header + marker + b"".join(number(count) + number(len(pack(data))) + pack(data) + marker for count, data in blocks)


def by_fastavro(schema, rows, **options):
    sink = io.BytesIO()
    fastavro.writer(sink, fastavro.parse_schema(schema), rows, **options)
    return sink.getvalue()


def encoded(schema, row):
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, fastavro.parse_schema(schema), row)
    return sink.getvalue()


def record(*fields, name="r"):
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


def logical(kind, meaning, **rest):
    return {"type": kind, "logicalType": meaning, **rest}


def avro():
    """A column of each type of Avro: its schema, its values, and what arrives."""
    place = record(("x", "int"), ("y", ["string", "null"]), name="place")
    duration = logical("fixed", "duration", name="span", size=12)
    spans = [struct.pack("<III", *span) for span in ((1, 2, 3000), (0, 0, 0), (14, 0, 500))]
    choices = [None, 1, "x", True]
    several = [{"long_value": one if type(one) is int else None, "string_value": one if type(one) is str else None,
                "boolean_value": one if type(one) is bool else None} for one in choices[1:]]
    exact = [D("-123.45"), D("0.01"), D("99999999.99")]
    return [
        ("truth", "boolean", [True, False], None), ("int", "int", [-2**31, 2**31 - 1, 0], None), ("long", "long", [-2**63, 2**63 - 1, 0], None),
        ("float", "float", [0.5, float("nan"), -0.0], None), ("double", "double", [0.1, 5e-324, float("inf")], None),
        ("text", "string", [text for text in TEXTS if text is not None], None), ("blob", "bytes", [b"\x00\xff", b""], None),
        ("nothing", "null", [None], None), ("first", ["null", "long"], [None, 1], None), ("second", ["string", "null"], [None, "x"], None),
        ("fixed", {"type": "fixed", "name": "four", "size": 4}, [b"\x00\xff\x00\xff", b"abcd"], None),
        ("enum", {"type": "enum", "name": "state", "symbols": ["OPEN", "SHUT"]}, ["SHUT", "OPEN"], None),
        ("again", ["null", "state"], ["OPEN", None], None),
        ("small", logical("bytes", "decimal", precision=10, scale=2), exact, None),
        ("money", logical("fixed", "decimal", name="money", size=9, precision=20, scale=2), exact, None),
        ("exact", logical("bytes", "decimal", precision=60, scale=30), [D("-1." + "5" * 30), D("9" * 30)], None),
        ("id", logical("string", "uuid"), IDS, [*map(str, IDS)]), ("day", logical("int", "date"), DAYS, None),
        ("clock", logical("int", "time-millis"), CLOCKS, None),
        ("finer", logical("long", "time-micros"), [*CLOCKS, datetime.time(0, 0, 0, 1)], None),
        ("at", logical("long", "timestamp-millis"), zoned(MOMENTS), None),
        ("at us", logical("long", "timestamp-micros"), zoned(MOMENTS + NEAR), None),
        ("local", logical("long", "local-timestamp-millis"), MOMENTS, None),
        ("local us", logical("long", "local-timestamp-micros"), MOMENTS + NEAR, None),
        ("at ns", logical("long", "timestamp-nanos"), [1000, -1000], zoned([datetime.datetime(1970, 1, 1, 0, 0, 0, 1), NEAR[1]])),
        ("local ns", logical("long", "local-timestamp-nanos"), [-1000], [NEAR[1]]), ("span", duration, spans, ["P1M2DT3S", "PT0S", "P1Y2MT0.5S"]),
        ("array", {"type": "array", "items": "double"}, [[0.5, 1.5], []], None), ("map", {"type": "map", "values": "int"}, [{"k": 1}, {}],
                                                                                [[{"key": "k", "value": 1}], []]),
        ("record", place, [{"x": 1, "y": None}, {"x": 2, "y": "ü"}], None), ("reused", ["null", "place"], [{"x": 3, "y": "z"}, None], None),
        ("records", {"type": "array", "items": "place"}, [[{"x": 4, "y": "q"}], []], None),
        ("either", ["long", "string", "boolean"], choices[1:], several),
    ]


def named(fields):
    """Avro's names have no spaces."""
    return record(*((name.replace(" ", "_"), kind) for name, kind, *_ in fields), name="shop.orders.r")


CODECS = {
    "null": bytes, "deflate": lambda data: zlib.compress(data, 9, -15), "bzip2": bz2.compress, "zstandard": zstandard.ZstdCompressor().compress,
}
