"""Rows as bytes, and back, with every value exactly as it is.

A row that is compared with others and moved between workers is bytes: one column after another, as Python's `marshal`
writes plain values. Plain are integers, floats, bytes and truth values: a time is its microseconds and a decimal its 16
or 32 bytes, so no value passes through a Python type that could round it. The same values make the same bytes, in
every process of a job: version 2 of `marshal` refers to no value by its place in memory, as later ones do.
"""

import marshal
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as kinds

VERSION = 2


def encode(batch: pa.RecordBatch) -> list[bytes]:
    """The bytes of each row."""
    return [marshal.dumps(row, VERSION) for row in zip(*(plain(column) for column in batch.columns), strict=True)]


def decode(rows: Sequence[bytes], schema: pa.Schema) -> pa.RecordBatch:
    """The rows that these bytes are."""
    columns = zip(*map(marshal.loads, rows), strict=True) if rows else [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [build(values, field.type) for values, field in zip(columns, schema)], schema=schema
    )


def plain(array: pa.Array) -> list:
    """The values of a column as plain ones: a list of them for a list, a tuple for a STRUCT."""
    kind = array.type
    if kinds.is_list(kind):
        starts = array.offsets.to_pylist()
        items = plain(array.values.slice(starts[0], starts[-1] - starts[0]))
        starts = [start - starts[0] for start in starts]
        valid = array.is_valid().to_pylist()
        return [items[start:end] if whole else None for start, end, whole in zip(starts, starts[1:], valid)]
    if kinds.is_struct(kind):
        fields = zip(*(plain(array.field(at)) for at in range(kind.num_fields)), strict=True)
        return [row if whole else None for row, whole in zip(fields, array.is_valid().to_pylist())]
    array = pa.Array.from_buffers(_plain_type(kind), len(array), array.buffers(), offset=array.offset)
    if kinds.is_fixed_size_binary(array.type):
        # Python gets bytes of a length each thirty times faster than bytes of one length.
        array = array.cast(pa.binary())
    return array.to_pylist()


def build(values: Sequence, kind: pa.DataType) -> pa.Array:
    """The column of these plain values."""
    if kinds.is_list(kind):
        starts, items = [0], []
        for value in values:
            items.extend(value or ())
            starts.append(len(items))
        buffers = [_validity(values), pa.array(starts, pa.int32()).buffers()[1]]
        return pa.Array.from_buffers(kind, len(values), buffers, children=[build(items, kind.value_type)])
    if kinds.is_struct(kind):
        fields = [
            build([None if value is None else value[at] for value in values], kind.field(at).type)
            for at in range(kind.num_fields)
        ]
        return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=fields)
    array = pa.array(values, _plain_type(kind))
    return pa.Array.from_buffers(kind, len(array), array.buffers(), array.null_count)


def _validity(values: Sequence) -> pa.Buffer:
    """One bit for each value: whether it is there."""
    return pa.array([value is not None for value in values], pa.bool_()).buffers()[1]


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with the same bytes whose values Python has."""
    if kinds.is_decimal(kind):
        return pa.binary(kind.byte_width)
    if kinds.is_date32(kind):
        return pa.int32()
    if kinds.is_time64(kind) or kinds.is_timestamp(kind):
        return pa.int64()
    if kinds.is_string(kind):
        return pa.binary()
    return kind
