"""What is true of any rows."""

import decimal
import marshal
import math
import random

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from sluice_dataflow import newest, rows
from sluice_dataflow.files import decoded, pack, shard, unpack

INT64 = st.integers(-(2**63), 2**63 - 1)
WHOLE = decimal.Context(prec=76)


def digits(precision: int, scale: int):
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda value: WHOLE.scaleb(decimal.Decimal(value), -scale))


STRUCT = pa.struct([pa.field("sku", pa.utf8()), pa.field("at", pa.list_(pa.field("element", pa.timestamp("us"))))])
# A type, and the values that it has.
VALUES = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): INT64,
    pa.float64(): st.floats(allow_nan=True),
    pa.bool_(): st.booleans(),
    pa.utf8(): st.text(st.characters(codec="utf-8")),
    pa.binary(): st.binary(),
    pa.binary(16): st.binary(min_size=16, max_size=16),
    pa.decimal128(38, 9): digits(38, 9),
    pa.decimal256(76, 38): digits(76, 38),
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(),
    pa.list_(pa.field("element", pa.decimal128(12, 2))): st.lists(st.none() | digits(12, 2), max_size=4),
    STRUCT: st.fixed_dictionaries(
        {
            "sku": st.none() | st.text(st.characters(codec="utf-8")),
            "at": st.none() | st.lists(st.none() | st.datetimes(), max_size=3),
        }
    ),
}
VALUES[pa.list_(pa.field("element", STRUCT))] = st.lists(st.none() | VALUES[STRUCT], max_size=3)


@st.composite
def batches(draw):
    """A batch of some types, which may be a slice of a larger one."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    count = draw(st.integers(0, 8))
    columns = [
        pa.array(draw(st.lists(st.none() | VALUES[kind], min_size=count, max_size=count)), kind) for kind in kinds
    ]
    schema = pa.schema([pa.field(f"c{at}", kind) for at, kind in enumerate(kinds)])
    whole = pa.RecordBatch.from_arrays(columns, schema=schema)
    start = draw(st.integers(0, count))
    return whole.slice(start, draw(st.integers(0, count - start)))


@settings(max_examples=400)
@given(batches())
def test_rows_come_back_from_their_bytes(batch):
    encoded = rows.encode(batch)
    [*again] = decoded(encoded, batch.schema)
    for other in again:
        other.validate(full=True)
    # `repr` tells NaN from numbers, and 0.0 from -0.0.
    assert repr([row for other in again for row in other.to_pylist()]) == repr(batch.to_pylist())
    assert [row for other in again for row in rows.encode(other)] == encoded
    [packed] = unpack([pack(batch)])
    assert packed.schema.equals(batch.schema) and repr(packed.to_pylist()) == repr(batch.to_pylist())


def test_equal_rows_have_equal_bytes_wherever_their_values_lie():
    """Values that are one object in memory, as small integers and empty texts always are, and values that are not."""
    name, number = b"name", 1 << 40
    twice = marshal.dumps((name, name, number, number), rows.VERSION)
    apart = marshal.dumps((name, bytes(bytearray(name)), number, (1 << 41) // 2), rows.VERSION)
    assert twice == apart


@given(st.lists(st.tuples(st.none() | st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=12), st.randoms())
def test_the_newest_does_not_depend_on_how_rows_are_spread(values, chance):
    """Every way to add the rows to accumulators and to merge these gives what sorting gives."""
    ranks = newest.ranks(pa.array([value for value, _ in values], pa.int64()))
    given = [(rank, bytes([row])) for rank, (_, row) in zip(ranks, values)]
    top = max(rank for rank, _ in given)
    wanted = (*max(given), sum(rank == top for rank, _ in given))
    combine = newest.TakeNewest()
    for _ in range(4):
        chance.shuffle(given)
        parts = [combine.create_accumulator() for _ in range(chance.randint(1, 4))]
        for row in given:
            at = chance.randrange(len(parts))
            parts[at] = combine.add_input(parts[at], row)
        while len(parts) > 1:
            some = [parts.pop(chance.randrange(len(parts))) for _ in range(min(len(parts), chance.randint(2, 3)))]
            parts.append(combine.merge_accumulators(some))
        assert combine.extract_output(parts[0]) == wanted


ORDERED = {
    kind: VALUES[kind]
    for kind in VALUES
    if not (pa.types.is_nested(kind) or pa.types.is_floating(kind) or pa.types.is_string(kind))
}


@given(st.data())
def test_ranks_sort_as_values(data):
    kind = data.draw(st.sampled_from(list(ORDERED)))
    values = data.draw(st.lists(st.none() | ORDERED[kind], max_size=6))
    # A None sorts before everything.
    wanted = sorted(values, key=lambda value: (value is not None, value if value is not None else 0))
    ranks = dict(zip(newest.ranks(pa.array(values, kind)), values))
    assert [ranks[rank] for rank in sorted(newest.ranks(pa.array(values, kind)))] == wanted


@given(st.lists(st.none() | st.floats(), max_size=8))
def test_ranks_of_floats_sort_as_bigquery_does(values):
    def place(value):
        return (
            value is not None,
            value is not None and not math.isnan(value),
            0 if value is None or math.isnan(value) else value,
        )

    ranks = newest.ranks(pa.array(values, pa.float64()))
    by_rank = [place(value) for _, value in sorted(zip(ranks, values), key=lambda pair: pair[0])]
    assert by_rank == sorted(by_rank)
    for rank, value in zip(ranks, values):
        for other, another in zip(ranks, values):
            assert (rank == other) == (place(value) == place(another))


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8")), max_size=6))
def test_ranks_of_texts_sort_by_their_bytes(values):
    ranks = newest.ranks(pa.array(values, pa.utf8()))
    by_rank = [value for _, value in sorted(zip(ranks, values), key=lambda pair: pair[0])]
    assert by_rank == sorted(values, key=lambda value: b"" if value is None else b"\x01" + value.encode())


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 1), st.none() | st.sampled_from(["", "a", "a\0"])), min_size=1, max_size=8
    )
)
def test_keys_are_equal_where_all_their_values_are(values):
    numbers, texts = zip(*values)
    batch = pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), pa.array(texts, pa.utf8())], names=["n", "t"])
    keys = newest.keys(batch, ("n", "t"))
    assert all((one == other) == (keys[i] == keys[j]) for i, one in enumerate(values) for j, other in enumerate(values))


def test_shards_are_even_and_the_same_everywhere():
    source = random.Random(3)
    counts = [0] * 16
    for _ in range(16_000):
        counts[shard(source.randbytes(9), 16)] += 1
    assert min(counts) > 800 and max(counts) < 1200
    assert shard(b"key", 1000) == 937
