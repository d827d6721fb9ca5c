"""What PostgreSQL's binary COPY says of a value, as the plain value that a part file would have.

Each type here is read exactly or not at all. The others, whose text Sluice makes itself (INTERVAL, RANGE, composites,
geometry, money), are for part files.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from sluice_dataflow.columns import DECIMALS, Column
from sluice_dataflow.failure import Failure

# Days and microseconds from 1970-01-01, Arrow's zero, to 2000-01-01, PostgreSQL's.
DAYS = 10_957
MICROSECONDS = DAYS * 86_400_000_000
# 0001-01-01 and 9999-12-31 as days since 1970-01-01: what BigQuery has of them.
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
DAY = 86_400_000_000


class Unfit(Exception):
    """The column's type cannot hold the value."""


class Wire(NamedTuple):
    """How a column is asked for, and what makes plain values of the bytes that come."""

    expression: str
    decode: Callable


def wire(column: Column) -> Wire:
    """How a column is read.

    Raises a failure that names the column if it cannot be read exactly.
    """
    name = f"column `{column.source_name}`"
    if column.on_invalid != "fail":
        raise Failure(
            f"read the source: {name} is to be NULL where a value does not fit, and nothing would count these values",
            "let Sluice's own tasks read the table: their receipts count them",
        )
    expression = '"' + column.source_name.replace('"', '""') + '"'
    if column.encoding in TEXTS and column.target_type == "STRING" and not column.repeated:
        return Wire(f"{expression}::pg_catalog.text", bytes)
    decode = _decoder(column)
    if decode is None:
        kind = f"{column.target_type}[]" if column.repeated else column.target_type
        raise Failure(
            f"read the source: {name} is `{column.source_type}`, of which {kind} is made by Sluice's own tasks only",
            "let them read the table, or load the column as STRING: `columns.<name>.type: string`",
        )
    return Wire(expression, _array(decode) if column.repeated else decode)


def _decoder(column: Column) -> Callable | None:
    encoding, target = column.encoding, column.target_type
    if target in DECIMALS:
        precision, scale = column.decimal or DECIMALS[target]
        size = 16 if precision <= 38 else 32
        if encoding == "numeric":
            return lambda value: _decimal(_numeric(value, scale), precision, size)
        if encoding in INTEGERS:
            return lambda value: _decimal(INTEGERS[encoding](value) * 10**scale, precision, size)
        return None
    if target == "INT64" and encoding == "numeric":
        return lambda value: _within(_numeric(value, 0), -(1 << 63), (1 << 63) - 1)
    return PLAIN.get((encoding, target))


def _signed(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _unsigned(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _within(value: int, least: int, greatest: int) -> int:
    if not least <= value <= greatest:
        raise Unfit
    return value


def _numeric(value: bytes, scale: int) -> int:
    """A `numeric` as an integer of this many digits after the point: groups of four digits, of which the first counts
    10,000 to the power of its weight."""
    count, weight, sign, _ = struct.unpack_from(">hhHH", value)
    if sign not in (0, 0x4000):
        # NaN and infinity.
        raise Unfit
    whole = 0
    for group in struct.unpack_from(f">{count}H", value, 8):
        whole = whole * 10_000 + group
    power = 4 * (weight - count + 1) + scale
    if power >= 0:
        whole *= 10**power
    else:
        whole, rest = divmod(whole, 10**-power)
        if rest:
            raise Unfit
    return -whole if sign else whole


def _decimal(value: int, precision: int, size: int) -> bytes:
    return _within(value, 1 - 10**precision, 10**precision - 1).to_bytes(size, "little", signed=True)


def _date(value: bytes) -> int:
    # Both infinities lie outside, as days.
    return _within(_signed(value) + DAYS, FIRST_DAY, LAST_DAY)


def _moment(value: bytes) -> int:
    return _within(_signed(value) + MICROSECONDS, FIRST_DAY * DAY, (LAST_DAY + 1) * DAY - 1)


def _time(value: bytes) -> int:
    # PostgreSQL has a 24:00:00.
    return _within(_signed(value), 0, DAY - 1)


def _uuid(value: bytes) -> bytes:
    text = value.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])).encode()


def _array(decode: Callable) -> Callable:
    """An array of one dimension from 1 on, without NULL: BigQuery has no others."""

    def elements(value: bytes) -> list:
        dimensions, _, _ = struct.unpack_from(">iiI", value)
        if dimensions == 0:
            return []
        count, lower = struct.unpack_from(">ii", value, 12)
        if dimensions != 1 or lower != 1:
            raise Unfit
        made, at = [], 20
        for _ in range(count):
            (size,) = struct.unpack_from(">i", value, at)
            if size < 0:
                raise Unfit
            made.append(decode(value[at + 4 : at + 4 + size]))
            at += 4 + size
        return made

    return elements


INTEGERS = {"int2": _signed, "int4": _signed, "int8": _signed, "oid": _unsigned, "xid": _unsigned, "cid": _unsigned}
# What is text already.
TEXT = ("text", "varchar", "bpchar", "name", "enum", "citext", "xml")
# What the server makes text of.
TEXTS = set(
    """server_text jsonpath timetz inet cidr macaddr macaddr8 bit varbit tsvector tsquery point line lseg box path
    polygon circle pg_lsn tid xid8 pg_snapshot txid_snapshot int4range int8range numrange int4multirange int8multirange
    nummultirange ltree cube""".split()
)
PLAIN = {
    **{(encoding, "INT64"): decode for encoding, decode in INTEGERS.items()},
    **{(encoding, target): bytes for encoding in TEXT for target in ("STRING", "BYTES")},
    ("float4", "FLOAT64"): lambda value: struct.unpack(">f", value)[0],
    ("float8", "FLOAT64"): lambda value: struct.unpack(">d", value)[0],
    ("bool", "BOOL"): lambda value: value != b"\0",
    ("json", "JSON"): bytes,
    ("json", "STRING"): bytes,
    # A byte that says the version of the format comes before.
    ("jsonb", "JSON"): lambda value: bytes(value[1:]),
    ("jsonb", "STRING"): lambda value: bytes(value[1:]),
    ("bytea", "BYTES"): bytes,
    ("uuid", "BYTES"): bytes,
    ("uuid", "STRING"): _uuid,
    ("date", "DATE"): _date,
    ("time", "TIME"): _time,
    ("timestamp", "DATETIME"): _moment,
    ("timestamptz", "TIMESTAMP"): _moment,
}
