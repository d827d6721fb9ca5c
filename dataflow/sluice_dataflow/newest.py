"""Of the rows with one key, the newest.

Keys are equal where SQL's PARTITION BY says so: NULL is equal to NULL, NaN to NaN, 0.0 to -0.0. The newest row is the
one with the greatest order value, as BigQuery's ORDER BY sorts: NULL, NaN, -inf, other numbers, inf; texts by their
UTF-8 bytes, false before true. Of several rows with this value, which is a tie, the one whose bytes are greatest is
taken, because that is the same one however the rows are spread over files and workers.
"""

import marshal
import struct

import apache_beam as beam
import pyarrow as pa
import pyarrow.types as kinds

from sluice_dataflow import rows

# A row: its order value, itself, and how many rows of its key have this order value.
Newest = tuple[bytes, bytes, int]


class TakeNewest(beam.CombineFn):
    """Keeps one row of a key, and counts those that are as new.

    It is a CombineFn, so every worker takes the newest of its own rows before they are sent: a key that half of the
    table has costs a row from each worker, and no worker ever holds a key's rows together.
    """

    def create_accumulator(self) -> Newest | None:
        return None

    def add_input(self, newest: Newest | None, row: tuple[bytes, bytes]) -> Newest:
        return newer(newest, (*row, 1))

    def merge_accumulators(self, accumulators) -> Newest | None:
        newest = None
        for other in accumulators:
            newest = newer(newest, other)
        return newest

    def extract_output(self, newest: Newest | None) -> Newest | None:
        return newest


def newer(one: Newest | None, other: Newest | None) -> Newest | None:
    """The newer of two, whichever comes first."""
    if one is None or other is None:
        return other if one is None else one
    if one[0] != other[0]:
        return one if one[0] > other[0] else other
    return one[0], max(one[1], other[1]), one[2] + other[2]


def keys(batch: pa.RecordBatch, names: tuple[str, ...]) -> list[bytes]:
    """The key of each row: bytes that are equal where the keys are."""
    columns = [_comparable(batch.column(name)) for name in names]
    return [marshal.dumps(key, rows.VERSION) for key in zip(*columns, strict=True)]


def ranks(column: pa.Array) -> list[bytes]:
    """The order value of each row: bytes that sort as the values do."""
    to_bytes = _rank(column.type)
    return [b"" if value is None else b"\x01" + to_bytes(value) for value in rows.plain(column)]


def _comparable(column: pa.Array) -> list:
    values = rows.plain(column)
    if kinds.is_floating(column.type):
        return [value if value is None else _float_rank(value) for value in values]
    return values


def _rank(kind: pa.DataType):
    """What makes bytes of a plain value that sort as the values of its type do."""
    if kinds.is_floating(kind):
        return _float_rank
    if kinds.is_boolean(kind):
        return lambda value: bytes([value])
    if kinds.is_decimal(kind):
        size = kind.byte_width
        half = 1 << (8 * size - 1)
        return lambda value: (int.from_bytes(value, "little", signed=True) + half).to_bytes(size, "big")
    if kinds.is_string(kind) or kinds.is_binary(kind) or kinds.is_fixed_size_binary(kind):
        return lambda value: value
    return lambda value: (value + (1 << 63)).to_bytes(8, "big")


def _float_rank(value: float) -> bytes:
    if value != value:
        return b""
    # -0.0 plus 0.0 is 0.0.
    (bits,) = struct.unpack(">q", struct.pack(">d", value + 0.0))
    # The bits of negative numbers fall as the numbers grow.
    ordered = bits ^ 0x7FFF_FFFF_FFFF_FFFF if bits < 0 else bits
    return (ordered + (1 << 63)).to_bytes(8, "big")
