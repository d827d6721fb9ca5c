"""The newest row of each key: the same answer as SQL's, row by row."""

import itertools
import random

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lake import read, write
from same import same

ROWS = 20_000
# Ten out of a hundred rows have the key of another.
KEYS = ROWS * 9 // 10

SALES = """CREATE TABLE sales AS
    SELECT n AS id, CASE WHEN k % 50 = 0 THEN NULL ELSE (k % 1000)::int4 END AS shop,
        CASE WHEN k % 70 = 0 THEN NULL ELSE 'n' || k / 1000 END AS number,
        CASE WHEN n % 40 = 0 THEN NULL ELSE n * 7919 % 1000003 END AS int8,
        CASE WHEN n % 40 = 0 THEN NULL WHEN n % 41 = 0 THEN 'NaN' WHEN n % 42 = 0 THEN '-Infinity'
            WHEN n % 43 = 0 THEN '-0'
            ELSE ((n * 7919 % 1000003) - 500000)::float8 / 7 END::float8 AS float8,
        (((n * 7919 % 1000003) - 500000)::numeric / 100)::numeric(12,2) AS amount,
        (((n * 7919 % 1000003) - 500000)::numeric(70,30) / 7)::numeric(70,30) AS ratio,
        date '1960-01-01' + (n * 7919 % 30011)::int AS day,
        time '00:00' + (n * 7919 % 86399) * interval '1 second' AS clock,
        timestamp '0044-01-01' + (n * 7919 % 1000003) * interval '1 hour' AS local,
        CASE WHEN n % 40 = 0 THEN NULL
            ELSE timestamptz '1969-12-01+00' + (n * 7919 % 1000003) * interval '1 second' END AS updated,
        chr((n * 7919 % 900)::int + 50) || md5(n::text) AS name,
        decode(md5(n::text), 'hex') AS digest, md5(n::text)::uuid AS token, n % 3 = 0 AS paid,
        jsonb_build_object('n', n) AS payload, ARRAY[n, NULL, -n]::int8[] AS numbers
    FROM (SELECT n, n % {keys} AS k FROM generate_series(1, {rows}) AS n) AS numbered"""


@pytest.fixture(scope="module")
def sales(lake, postgres):
    with postgres.connect() as connection:
        connection.execute(SALES.format(rows=ROWS, keys=KEYS))
        connection.execute("ALTER TABLE sales ADD PRIMARY KEY (id); ANALYZE sales")
    table = lake.move(
        postgres,
        "sales",
        partitioning={"strategy": "id_range", "target_rows": 2500},
        columns={"numbers": {"type": "JSON"}, "token": {"type": "BYTES"}, "ratio": {"type": "BIGNUMERIC"}},
    )
    assert len(table.parts) > 4
    return table


def winners(postgres, keys: list[str], order: str) -> list[int]:
    """PostgreSQL's own answer. It sorts NaN above all numbers, and BigQuery below them."""
    value = f"CASE WHEN {order} = 'NaN' THEN 1 ELSE 2 END DESC, {order}" if order == "float8" else order
    value = f'{value} COLLATE "C"' if order in ("name", "number") else value
    query = f"""SELECT id FROM (SELECT id, row_number() OVER (
        PARTITION BY {", ".join(keys)} ORDER BY {order} IS NOT NULL DESC, {value} DESC) AS place
        FROM sales) AS ranked WHERE place = 1"""
    with postgres.connect() as connection:
        return sorted(id for (id,) in connection.execute(query))


def only(table: pa.Table, ids: list[int]) -> pa.Table:
    return table.filter(pc.is_in(table["id"], pa.array(ids, pa.int64())))


@pytest.mark.parametrize(
    "order", ["int8", "amount", "ratio", "day", "clock", "local", "updated", "name", "digest", "token", "float8"]
)
def test_the_newest_rows_are_those_of_sql(lake, stub, postgres, sales, order):
    # `id` is another key in each pair, so no order value decides twice and no row ties.
    keys = ["shop", "number"]
    done = lake.order(sales, dedup={"keys": keys, "order": order})
    result = lake.carry_out(done)
    found = read(lake.files(done))
    ids = winners(postgres, keys, order)
    assert result["rows_read"] == ROWS and result["rows_written"] == len(ids) == ROWS - result["rows_dropped"]
    if result["ties"]:
        # Which of two equally new rows is taken is for no SQL to say, so the keys with ties are left out.
        assert order in ("float8", "int8", "updated", "day", "clock")
        tied = _tied(postgres, keys, order)
        assert result["ties"] == len(tied[0])
        ids = [id for id in ids if id not in tied[1]]
        found = found.filter(pc.invert(pc.is_in(found["id"], pa.array(sorted(tied[1]), pa.int64()))))
    same(found, only(sales.read(), ids), by="id")


def _tied(postgres, keys: list[str], order: str) -> tuple[list, set[int]]:
    """The keys with several rows of the greatest order value, and the ids of these rows, as PostgreSQL counts them."""
    place = f"CASE WHEN {order} IS NULL THEN 0 WHEN {order}::text = 'NaN' THEN 1 ELSE 2 END"
    query = f"""WITH ranked AS (SELECT id, {", ".join(keys)}, rank() OVER (
            PARTITION BY {", ".join(keys)} ORDER BY {place} DESC, {order} DESC) AS place FROM sales)
        SELECT array_agg(id) FROM ranked WHERE place = 1 GROUP BY {", ".join(keys)} HAVING count(*) > 1"""
    with postgres.connect() as connection:
        groups = [ids for (ids,) in connection.execute(query)]
    return groups, set(itertools.chain.from_iterable(groups))


def test_duckdb_says_the_same(lake, stub, sales):
    done = lake.order(sales, dedup={"keys": ["shop", "number", "paid"], "order": "name"})
    lake.carry_out(done)
    # DuckDB has no decimals of 76 digits.
    rows = sales.read().drop_columns("ratio")
    place = "row_number() OVER (PARTITION BY shop, number, paid ORDER BY name DESC NULLS LAST)"
    ids = duckdb.sql(f"SELECT id FROM rows QUALIFY {place} = 1").fetchall()
    same(read(lake.files(done)).drop_columns("ratio"), only(rows, [id for (id,) in ids]), by="id")


def test_without_a_key_every_row_passes(lake, stub, sales):
    done = lake.order(sales)
    result = lake.carry_out(done)
    assert result == {"version": 1, "rows_read": ROWS, "rows_written": ROWS, "rows_dropped": 0, "ties": 0, "files": 1}
    same(read(lake.files(done)), sales.read(), by="id")


COLUMNS = [
    {
        "name": name,
        "source_name": name,
        "source_type": kind,
        "encoding": kind,
        "target_type": target,
        "on_invalid": "fail",
    }
    for name, kind, target in [("id", "int8", "INT64"), ("key", "float8", "FLOAT64"), ("at", "float8", "FLOAT64")]
]
NAN, INF = float("nan"), float("inf")
TYPES = [pa.int64(), pa.float64(), pa.float64()]


def numbers(*rows) -> pa.Table:
    return pa.table([pa.array(values, kind) for values, kind in zip(zip(*rows), TYPES)], names=["id", "key", "at"])


def test_null_nan_and_zero_have_their_places(lake, stub):
    rows = [
        # NULL is the least, then NaN, then -inf.
        (1, 1.0, None), (2, 1.0, NAN), (3, 2.0, NAN), (4, 2.0, -INF), (5, 3.0, -INF), (6, 3.0, -1e308),
        (7, 4.0, INF), (8, 4.0, NAN), (9, 4.0, None), (10, 4.0, 1e308),
        # NULL keys are one key, and so are NaN, and both zeros.
        (11, None, 1.0), (12, None, 2.0), (13, NAN, 1.0), (14, -NAN, 2.0), (15, 0.0, 1.0), (16, -0.0, 2.0),
        # Both zeros are one order value: a tie. So are NULL and NULL, and rows that are the same in all columns.
        (17, 5.0, 0.0), (18, 5.0, -0.0), (19, 6.0, None), (20, 6.0, None), (21, 7.0, 1.0), (21, 7.0, 1.0),
        # Several rows of an order value that is not the greatest are no tie.
        (22, 8.0, 1.0), (23, 8.0, 1.0), (24, 8.0, 2.0),
    ]  # fmt: skip
    table = write(lake.folder, COLUMNS, numbers(*rows))
    done = lake.order(table, dedup={"keys": ["key"], "order": "at"})
    result = lake.carry_out(done)
    ids = sorted(read(lake.files(done))["id"].to_pylist())
    assert [id for id in ids if id not in (17, 18, 19, 20)] == [2, 4, 6, 7, 12, 14, 16, 21, 24]
    assert result["ties"] == 3 and result["rows_dropped"] == len(rows) - len(ids) == 14


def test_a_tie_is_decided_the_same_however_the_rows_lie(lake, stub):
    """Rows of few keys and few order values, cut into parts and row groups in different ways."""
    source = random.Random(7)
    rows = [(id, float(source.randrange(40)), float(source.randrange(3))) for id in range(600)]
    top = {key: max(at for _, other, at in rows if other == key) for _, key, _ in rows}
    tied = sum(sum(row[1:] == (key, at) for row in rows) > 1 for key, at in top.items())
    found = set()
    for parts in (1, 2, 3, 7):
        source.shuffle(rows)
        size = -(-len(rows) // parts)
        tables = [numbers(*rows[at : at + size]) for at in range(0, len(rows), size)]
        table = write(lake.folder, COLUMNS, *tables, group=50)
        done = lake.order(table, dedup={"keys": ["key"], "order": "at"})
        result = lake.carry_out(done)
        ids = tuple(sorted(read(lake.files(done))["id"].to_pylist()))
        found.add((ids, result["ties"]))
        for order in itertools.islice(itertools.permutations(done["parts"]), 1, 3):
            again = lake.order(table, dedup=done["dedup"], parts=list(order))
            ties = lake.carry_out(again)["ties"]
            found.add((tuple(sorted(read(lake.files(again))["id"].to_pylist())), ties))
    [(ids, ties)] = found
    assert len(ids) == len(top) == 40 and ties == tied > 30


@pytest.mark.parametrize("dedup", [None, {"keys": ["key"], "order": "at"}], ids=["passing", "newest"])
@pytest.mark.parametrize("parts", [0, 1], ids=["no parts", "a part without rows"])
def test_an_empty_table(lake, dedup, parts):
    empty = pa.table([pa.array([], kind) for kind in TYPES], names=["id", "key", "at"])
    done = lake.order(write(lake.folder, COLUMNS, *[empty] * parts), dedup=dedup)
    result = lake.carry_out(done)
    assert result == {"version": 1, "rows_read": 0, "rows_written": 0, "rows_dropped": 0, "ties": 0, "files": 0}
    assert lake.warehouse.count(done["staging"]["table"]) == 0 and lake.jobs(done) == []
