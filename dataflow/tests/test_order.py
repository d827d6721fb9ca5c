"""What an order has to be."""

import copy
import json

import pytest
from sluice_dataflow.failure import Failure
from sluice_dataflow.order import parse, read

RUN = "01a22cb6-deab-7339-b80f-e90cc62ba51b"
COLUMNS = [
    {
        "name": "id",
        "source_name": "id",
        "source_type": "integer",
        "encoding": "int4",
        "target_type": "INT64",
        "nullable": False,
        "on_invalid": "fail",
    },
    {
        "name": "total",
        "source_name": "total",
        "source_type": "numeric(12,2)",
        "encoding": "numeric",
        "target_type": "NUMERIC",
        "decimal": {"precision": 12, "scale": 2},
        "nullable": True,
        "on_invalid": "null",
        "invalid": "NaN",
        "description": "d",
        "max_length": 3,
    },
    {
        "name": "lines",
        "source_name": "lines",
        "source_type": "STRUCT",
        "encoding": "struct",
        "target_type": "STRUCT",
        "repeated": True,
        "fields": [
            {
                "name": "sku",
                "source_name": "sku",
                "source_type": "STRING",
                "encoding": "",
                "target_type": "STRING",
                "on_invalid": "fail",
            }
        ],
        "on_invalid": "fail",
    },
]
ORDER = {
    "version": 1,
    "run": RUN,
    "table": 0,
    "generation": 0,
    "job": f"sluice-{RUN}-0",
    "columns": COLUMNS,
    "schema": [
        {"name": "id", "type": "INT64"},
        {"name": "total", "type": "NUMERIC"},
        {"name": "lines", "type": "STRUCT"},
    ],
    "parts": ["gs://lake/a.parquet", "gs://lake/b.parquet"],
    "rows": 10,
    "bytes": 1000,
    "dedup": {"keys": ["id"], "order": "total"},
    "staging": {"project": "p", "dataset": "d", "table": "t", "location": "EU"},
    "output": f"gs://lake/runs/{RUN}/dataflow/0/",
}
SOURCE = {
    "url": "postgresql://etl:${PASSWORD}@host/shop",
    "relation": '"public"."orders"',
    "units": [{"index": 0, "predicate": "id < 3"}],
}


def changed(path: str, value) -> dict:
    """The order with another value at a path; with none if it is `...`."""
    order = copy.deepcopy(ORDER)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = order
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return order


def test_a_whole_order():
    order = parse(ORDER)
    assert order.columns[0].encoding == "int4" and order.columns[1].decimal == (12, 2)
    assert order.columns[2].repeated and order.columns[2].fields[0].name == "sku"
    assert order.dedup.keys == ("id",) and str(order.staging) == "p.d.t"
    assert order.result == f"gs://lake/runs/{RUN}/dataflow/0/result.json"
    assert order.plan().parts == () and order.plan().rows == 10
    assert parse(changed("dedup", None)).dedup is None and parse(changed("dedup", ...)).dedup is None


def test_an_order_of_a_source():
    order = copy.deepcopy(ORDER) | {"source": SOURCE}
    del order["parts"]
    assert parse(order).source.units[0].predicate == "id < 3" and parse(order).plan().source.units == ()


@pytest.mark.parametrize("path", [key for key in ORDER if key not in ("dedup", "version", "parts")])
def test_what_is_missing_is_named(path):
    with pytest.raises(Failure, match=f"^`{path}` is missing"):
        parse(changed(path, ...))


@pytest.mark.parametrize(
    "path, value, says",
    [
        ("version", ..., "`version` is missing"),
        ("version", 2, "`version` is 2, and this image knows 1"),
        ("version", "1", "`version` is '1', and this image knows 1"),
        ("speed", 1, "`speed` is not known"),
        ("staging.speed", 1, "`staging.speed` is not known"),
        ("dedup.speed", 1, "`dedup.speed` is not known"),
        ("columns.0.speed", 1, "`columns[0].speed` is not known"),
        ("columns.2.fields.0.speed", 1, "`columns[2].fields[0].speed` is not known"),
        ("columns.1.decimal.speed", 1, "`columns[1].decimal.speed` is not known"),
        ("columns.1.decimal", {"precision": 77, "scale": 0}, "`columns[1].decimal` is not a number of digits"),
        ("columns.0.name", ..., "`columns[0].name` is missing"),
        ("columns.0.target_type", "INT128", "`columns[0].target_type` is `INT128`, which is not known"),
        ("columns.2.fields", [], "`columns[2].fields` has to have the fields of a STRUCT"),
        ("columns.1.name", "id", "`columns` has no columns, or two of one name"),
        ("columns", [], "`columns` has no columns"),
        ("schema.0.name", "no", "`schema` has other columns than `columns`"),
        ("parts", ..., "there has to be one of `parts` and `source`"),
        ("source", SOURCE, "there has to be one of `parts` and `source`"),
        ("parts", ["gs://lake/a", "gs://lake/a"], "`parts` names a file twice"),
        ("parts", ["s3://lake/a"], "`parts[0]` has to be a URL of `gs://` or `file:///`"),
        ("parts", "gs://lake/a", "`parts` has to be a list"),
        ("rows", "10", "`rows` has to be an integer"),
        ("rows", True, "`rows` has to be an integer"),
        ("rows", -1, "`rows` has to be 0 or more"),
        ("run", "a/b", "`run` has to be letters, digits, `-` and `_`"),
        ("output", "gs://lake/runs", "`output` has to end with `/`"),
        ("staging.location", "", "`staging.location` is empty"),
        ("staging", None, "`staging` has to be an object"),
        ("dedup.keys", [], "`dedup.keys` has no columns"),
        ("dedup.keys", ["no"], "`dedup.keys` names `no`, which is not a column"),
        ("dedup.keys", [1], "`dedup.keys` has to be names of columns"),
        ("dedup.order", "lines", "`dedup.order` names `lines`, which is ARRAY<STRUCT>: such values cannot be compared"),
    ],
)
def test_what_is_wrong_is_named(path, value, says):
    with pytest.raises(Failure) as failed:
        parse(changed(path, value))
    assert failed.value.message.startswith(says) and failed.value.hint


def test_types_without_an_equality_are_no_keys():
    for kind in ("JSON", "GEOGRAPHY", "INTERVAL", "RANGE<DATE>"):
        order = changed("columns.0.target_type", kind)
        with pytest.raises(Failure, match=f"`dedup.keys` names `id`, which is {kind}"):
            parse(order)


def test_what_is_no_order(tmp_path):
    for document in ([], "order", None, 3):
        with pytest.raises(Failure, match="the document has to be an object"):
            parse(document)
    path = tmp_path / "order.json"
    with pytest.raises(Failure, match="there is no such object"):
        read(f"file://{path}")
    path.write_text("{")
    with pytest.raises(Failure, match="it is not a JSON document"):
        read(f"file://{path}")
    path.write_text(json.dumps(ORDER | {"rows": "ten"}))
    with pytest.raises(Failure, match=f"read order `file://{path}`: `rows` has to be an integer"):
        read(f"file://{path}")
