"""Whether two tables have the same rows. It shares no code with the pipeline."""

import pyarrow as pa


def same(found: pa.Table, wanted: pa.Table, by: str):
    """Compares two tables value by value, NaN by its bits, with the rows of both sorted by a column that tells them
    apart."""
    assert found.schema.equals(wanted.schema), f"{found.schema}\n\nis not\n\n{wanted.schema}"
    assert found.num_rows == wanted.num_rows
    found, wanted = (table.combine_chunks().sort_by(by).combine_chunks() for table in (found, wanted))
    different = [name for name in wanted.column_names if not _equal(_array(found, name), _array(wanted, name))]
    assert not different, f"columns that differ: {different}"


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _equal(one: pa.Array, other: pa.Array) -> bool:
    if pa.types.is_list(one.type):
        ends = one.value_lengths().equals(other.value_lengths())
        return ends and one.is_valid().equals(other.is_valid()) and _equal(one.flatten(), other.flatten())
    if pa.types.is_struct(one.type):
        fields = zip(one.flatten(), other.flatten())
        return one.is_valid().equals(other.is_valid()) and all(_equal(*pair) for pair in fields)
    if pa.types.is_floating(one.type):
        # As equal bits: NaN is not equal to itself, and 0.0 is to -0.0.
        return one.view(pa.int64()).equals(other.view(pa.int64()))
    return one.equals(other)
