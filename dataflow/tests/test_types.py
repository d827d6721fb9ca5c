"""Every type, through both ways that rows take."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sluice_dataflow.columns import TARGET_TYPES, arrow_schema
from sluice_dataflow.order import parse

from every_type import ROWS
from lake import read, write
from same import same

NEWEST = {"keys": ["id"], "order": "timestamptz"}


@pytest.mark.parametrize("dedup", [None, NEWEST], ids=["passing", "newest"])
def test_every_value_arrives_as_it_was(lake, stub, every, dedup):
    assert len(every.columns) > 120
    kinds = {column["target_type"] for column in every.columns}
    assert kinds >= TARGET_TYPES - {"STRUCT", "GEOGRAPHY"}
    order = lake.order(every, dedup=dedup)
    assert lake.carry_out(order)["rows_written"] == ROWS
    same(read(lake.files(order)), every.read(), by="id")
    [file] = lake.files(order)
    # What BigQuery goes by: it does not know Arrow's types.
    assert stored(file) == stored(every.parts[0])


def stored(path) -> list[tuple]:
    schema = pq.ParquetFile(path).schema
    columns = [schema.column(at) for at in range(len(schema.names))]
    return [(each.path, each.physical_type, each.length, str(each.logical_type)) for each in columns]


def test_the_types_are_those_of_the_program(lake, every):
    """What `columns.py` says is what the program has written."""
    assert arrow_schema(parse(lake.order(every)).columns).equals(every.read().schema)


def column(name: str, target_type: str, **more) -> dict:
    fields = {"name": name, "source_name": name, "source_type": target_type, "encoding": target_type.lower()}
    return {**fields, "target_type": target_type, "on_invalid": "fail", **more}


@pytest.mark.parametrize("dedup", [None, {"keys": ["id"], "order": "id"}], ids=["passing", "newest"])
def test_structs_arrive_as_they_were(lake, stub, dedup):
    """They come from BigQuery's own tables, which no server here has, so this test writes the part itself."""
    inner = [column("at", "TIMESTAMP", repeated=True), column("price", "BIGNUMERIC"), column("raw", "BYTES")]
    columns = [
        column("id", "INT64"),
        column("one", "STRUCT", fields=[column("sku", "STRING"), column("deep", "STRUCT", fields=inner)]),
        column("many", "STRUCT", repeated=True, fields=inner),
    ]
    deep = {
        "at": [datetime.datetime(1, 1, 1), None, datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)],
        "price": decimal.Decimal("-" + "9" * 38 + "." + "9" * 38),
        "raw": b"\0\xff",
    }
    hollow = {"at": [], "price": None, "raw": b""}
    rows = [
        {"id": 1, "one": {"sku": "größe", "deep": deep}, "many": [deep, hollow, None]},
        {"id": 2, "one": {"sku": None, "deep": None}, "many": []},
        {"id": 3, "one": None, "many": None},
    ]
    order = lake.order(write(lake.folder, columns))
    table = pa.Table.from_pylist(rows, arrow_schema(parse(order | {"parts": ["gs://lake/a"]}).columns))
    order = lake.order(write(lake.folder, columns, table.slice(0, 2), table.slice(2)), dedup=dedup)
    assert lake.carry_out(order)["rows_written"] == 3
    same(read(lake.files(order)), table, by="id")


# Types that local-bigquery loads from Parquet as BigQuery does; the files show the others. For each: greatest, least.
LOADED = {
    "id int4 PRIMARY KEY": ("1", "2"),
    "big int8": (str(2**63 - 1), str(-(2**63))),
    "ratio float8": ("-0", "Infinity"),
    "amount numeric(12,2)": ("9999999999.99", "-9999999999.99"),
    "paid bool": ("true", "false"),
    "name text": ("größe", ""),
    "day date": ("9999-12-31", "0001-01-01"),
    "clock time": ("23:59:59.999999", "00:00"),
    "local timestamp": ("9999-12-31 23:59:59.999999", "0001-01-01"),
    "updated timestamptz": ("9999-12-31 23:59:59.999999+00", "0001-01-01+00"),
    "payload jsonb": ('{"a": 1.10}', "null"),
    "took interval": ("1 year 2 mons 3 days 04:05:06.789", "-1 day"),
    "token uuid": ("f" * 32, "0" * 32),
    "numbers int8[]": ("{1,-2}", "{}"),
    "tags text[]": ('{"",x}', "{}"),
}


@pytest.mark.parametrize("dedup", [None, {"keys": ["id"], "order": "big"}], ids=["passing", "newest"])
def test_what_google_s_client_reads_from_the_staging_table(lake, postgres, dedup):
    with postgres.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS loaded; CREATE TABLE loaded ({', '.join(LOADED)})")
        places = ", ".join(["%s"] * len(LOADED))
        cursor.executemany(f"INSERT INTO loaded VALUES ({places})", list(zip(*LOADED.values(), strict=True)))
        cursor.execute("INSERT INTO loaded (id) VALUES (3)")
    order = lake.order(lake.move(postgres, "loaded"), dedup=dedup)
    assert lake.carry_out(order)["rows_written"] == 3
    sql = f"SELECT * FROM sales.{order['staging']['table']} ORDER BY id"
    greatest, least, null = (dict(row.items()) for row in lake.warehouse.client.query_and_wait(sql))
    moment, utc = datetime.datetime, datetime.UTC
    assert repr(greatest.pop("ratio")) == "-0.0"
    assert greatest == {
        "id": 1,
        "big": 2**63 - 1,
        "amount": decimal.Decimal("9999999999.99"),
        "paid": True,
        "name": "größe",
        "day": datetime.date.max,
        "clock": datetime.time.max,
        "local": moment.max,
        "updated": moment.max.replace(tzinfo=utc),
        "payload": '{"a": 1.10}',
        "took": "P1Y2M3DT4H5M6.789S",
        "token": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "numbers": [1, -2],
        "tags": ["", "x"],
    }
    assert least == {
        "id": 2,
        "big": -(2**63),
        "ratio": float("inf"),
        "amount": decimal.Decimal("-9999999999.99"),
        "paid": False,
        "name": "",
        "day": datetime.date.min,
        "clock": datetime.time.min,
        "local": moment.min,
        "updated": moment.min.replace(tzinfo=utc),
        "payload": "null",
        "took": "P-1D",
        "token": "00000000-0000-0000-0000-000000000000",
        "numbers": [],
        "tags": [],
    }
    # BigQuery has no NULL arrays: they are empty.
    assert null == dict.fromkeys(least) | {"id": 3, "numbers": [], "tags": []}
