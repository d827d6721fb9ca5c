"""A table's columns, and the Arrow types that they have in part files.

It says the same as `crates/contracts/src/documents/schema.rs`, and a change there needs the same change here: the
pipeline compares every part file with these types before it reads a row.
"""

from dataclasses import dataclass, field

import pyarrow as pa

TYPES = {
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "BOOL": pa.bool_(),
    "STRING": pa.utf8(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "JSON": pa.utf8(),
    "GEOGRAPHY": pa.utf8(),
    "INTERVAL": pa.utf8(),
    "RANGE<DATE>": pa.utf8(),
    "RANGE<DATETIME>": pa.utf8(),
    "RANGE<TIMESTAMP>": pa.utf8(),
}
# Digits of a decimal column that does not say how many it has: (all, after the point).
DECIMALS = {"NUMERIC": (38, 9), "BIGNUMERIC": (76, 38)}
TARGET_TYPES = {*TYPES, *DECIMALS, "STRUCT"}
# Types whose equal values may differ in a part file, where all of them are text.
WITHOUT_EQUALITY = {"JSON", "GEOGRAPHY", "INTERVAL", "RANGE<DATE>", "RANGE<DATETIME>", "RANGE<TIMESTAMP>", "STRUCT"}


@dataclass(frozen=True)
class Column:
    """One column, in the source and in the target."""

    name: str
    source_name: str
    source_type: str
    encoding: str
    target_type: str
    repeated: bool = False
    # All digits, and those after the point.
    decimal: tuple[int, int] | None = None
    fields: tuple["Column", ...] = ()
    on_invalid: str = "fail"
    # What only people read: `nullable`, `max_length`, `description`, `invalid`.
    remarks: dict = field(default_factory=dict, compare=False)

    @property
    def compares(self) -> bool:
        """Whether two values of the column can be told equal, or the greater of them told."""
        return not self.repeated and self.target_type not in WITHOUT_EQUALITY


def arrow_type(column: Column) -> pa.DataType:
    """The type of a column in a part file."""
    single = _single(column)
    return pa.list_(pa.field("element", single)) if column.repeated else single


def arrow_schema(columns) -> pa.Schema:
    """The schema of a table's part files. Every field is nullable, as every target column is."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in columns])


def _single(column: Column) -> pa.DataType:
    """The type of one value of a column, or of one element of an array."""
    kind = column.target_type
    # The encodings mean the same in every source, and save a part file what all values have in common.
    if kind == "INT64" and column.encoding in ("int2", "int4") and not column.repeated:
        return pa.int32()
    if kind == "BYTES" and column.encoding == "uuid" and not column.repeated:
        return pa.binary(16)
    if kind == "STRUCT":
        return pa.struct([pa.field(inner.name, arrow_type(inner)) for inner in column.fields])
    if kind in DECIMALS:
        precision, scale = column.decimal or DECIMALS[kind]
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    return TYPES[kind]
