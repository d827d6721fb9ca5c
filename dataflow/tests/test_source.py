"""Reading a database without part files: the same values as the part files have."""

import dataclasses
import decimal

import pyarrow.compute as pc
import pytest
from sluice_dataflow import login, wire
from sluice_dataflow import postgres as source_reader
from sluice_dataflow.failure import Failure
from sluice_dataflow.order import parse

from cases import CASES
from every_type import ROWS
from lake import read
from same import same
from test_order import ORDER


@pytest.fixture(scope="module")
def fitting(lake, postgres, every):
    """A table with a column of each type that can be read, without the values that do not fit, as Sluice moves it."""
    readable = {column["name"]: column for column in every.columns if is_readable(column)}
    rows = every.read()
    with postgres.connect() as connection:
        names = ", ".join(f'"{name}"' for name in readable)
        connection.execute(
            f"CREATE TABLE fitting AS SELECT {names} FROM every; ALTER TABLE fitting ADD PRIMARY KEY (id)"
        )
        for name in set(readable) - {"id"}:
            unfit = rows["id"].filter(pc.is_null(rows[name])).to_pylist()
            connection.execute(f'UPDATE fitting SET "{name}" = NULL WHERE id = ANY(%s)', [unfit])
    # Types that were asked for are asked for again.
    asked = {name: {"type": column["target_type"]} for name, column in readable.items() if is_asked(column)}
    return lake.move(postgres, "fitting", columns=asked)


def is_asked(column: dict) -> bool:
    name = column["name"]
    return any(case.name == name and case.wanted for case in CASES)


def is_readable(column: dict) -> bool:
    order = {
        **ORDER,
        "columns": [{**column, "on_invalid": "fail"}],
        "schema": [{"name": column["name"]}],
        "dedup": None,
    }
    try:
        return bool(wire.wire(parse(order).columns[0]))
    except Failure:
        return False


def units(*predicates: str) -> list[dict]:
    return [{"index": at, "predicate": predicate} for at, predicate in enumerate(predicates)]


CUTS = units('"id" < 7', '"id" >= 7 and "id" < 31', '"id" >= 31', '"id" is null')


def source(lake, table, relation: str, cuts=CUTS, url="${DATAFLOW_SOURCE}", **changes) -> dict:
    given = {"url": url, "relation": f'"public"."{relation}"', "units": cuts}
    return lake.order(table, parts=..., source=given, **changes)


@pytest.fixture(autouse=True)
def url(postgres, monkeypatch):
    monkeypatch.setenv("DATAFLOW_SOURCE", postgres.own)


@pytest.mark.parametrize("dedup", [None, {"keys": ["id"], "order": "timestamptz"}], ids=["passing", "newest"])
def test_every_value_is_what_the_part_files_have(lake, stub, fitting, monkeypatch, dedup):
    assert len(fitting.columns) > 80
    # Several batches of a unit.
    monkeypatch.setattr(source_reader, "BATCH_ROWS", 5)
    # How many rows there are is an estimate.
    order = source(lake, fitting, "fitting", rows=1, dedup=dedup)
    result = lake.carry_out(order)
    assert result["rows_read"] == result["rows_written"] == ROWS
    same(read(lake.files(order)), fitting.read(), by="id")


def fails(lake, order: dict, *says: str):
    with pytest.raises(Exception) as failed:
        lake.carry_out(order)
    told = str(failed.value)
    assert all(text in told for text in says), told
    assert lake.result(order) is None and lake.jobs(order) == []
    return told


@pytest.fixture(scope="module")
def small(lake, postgres, fitting):
    with postgres.connect() as connection:
        connection.execute("""CREATE TABLE small (id int4, day date, total numeric(38,9), list int8[], at time);
            INSERT INTO small VALUES (1, '2024-02-29', 1.5, '{1}', '10:00'), (NULL, '0001-01-01', NULL, '{}', NULL)""")
    return lake.move(postgres, "small")


def test_rows_without_a_key_are_a_unit_of_their_own(lake, small):
    order = source(lake, small, "small", units('"id" < 1', '"id" >= 1', '"id" is null'))
    assert lake.carry_out(order)["rows_read"] == 2
    assert lake.warehouse.count(order["staging"]["table"]) == 2
    order = source(lake, small, "small", units(""), dedup={"keys": ["id"], "order": "day"})
    assert lake.carry_out(order)["rows_written"] == 2


@pytest.mark.parametrize(
    "column, value",
    [
        ("day", "infinity"), ("day", "-infinity"), ("day", "10000-01-01"), ("day", "0001-12-31 BC"), ("at", "24:00"),
        ("total", "NaN"), ("list", "{NULL}"), ("list", "{{1},{2}}"), ("list", "[2:3]={1,2}"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_ends_it(lake, postgres, small, column, value):
    with postgres.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS unfit; CREATE TABLE unfit (LIKE small)")
        connection.execute(f"INSERT INTO unfit (id, {column}) VALUES (1, %s)", [value])
    told = fails(
        lake, source(lake, small, "unfit", units("")), "read unit 0 of ", f"column `{column}` has a value that"
    )
    assert value not in told


@pytest.mark.parametrize(
    "precision, scale, value, fits",
    [
        (12, 2, "9999999999.99", True),
        (12, 2, "10000000000", False),
        (12, 2, "0.001", False),
        (12, 2, "1.100", True),
        (76, 38, "9" * 38 + "." + "9" * 38, True),
        (76, 38, "1" + "0" * 38, False),
        (9, 9, "0.000000001", True),
        (38, 0, "1e30", True),
    ],
)
def test_decimals_fit_by_their_digits(postgres, precision, scale, value, fits):
    total = {**ORDER["columns"][1], "on_invalid": "fail", "decimal": {"precision": precision, "scale": scale}}
    column = parse({**ORDER, "columns": [total], "schema": [{"name": "total"}], "dedup": None}).columns[0]
    with postgres.connect() as connection, connection.cursor(binary=True) as cursor:
        with cursor.copy(f"COPY (SELECT '{value}'::numeric, '-{value}'::numeric) TO STDOUT (FORMAT binary)") as copy:
            [sent] = copy.rows()
    for text, bytes_of in zip((value, f"-{value}"), sent):
        if not fits:
            with pytest.raises(wire.Unfit):
                wire.wire(column).decode(bytes_of)
            continue
        wanted = decimal.Context(prec=99).scaleb(decimal.Decimal(text), scale)
        assert int.from_bytes(wire.wire(column).decode(bytes_of), "little", signed=True) == int(wanted)


NOT_READ = {
    "interval": "INTERVAL",
    "daterange": "RANGE<DATE>",
    "money": "NUMERIC",
    "server_json": "JSON",
    "geometry": "GEOGRAPHY",
    "char": "STRING",
    "regclass": "STRING",
}


def test_types_that_are_not_read_are_named_before_anything_is(lake, small):
    for encoding, kind in NOT_READ.items():
        changed = {**small.columns[1], "encoding": encoding, "target_type": kind, "source_type": encoding}
        table = dataclasses.replace(small, columns=[small.columns[0], changed])
        # There is no such relation, and nobody looks for it.
        fails(
            lake,
            source(lake, table, "none"),
            f"column `day` is `{encoding}`, of which {kind} is made by Sluice's own tasks only",
        )
    table = dataclasses.replace(small, columns=[{**small.columns[0], "on_invalid": "null"}])
    fails(lake, source(lake, table, "none"), "column `id` is to be NULL where a value does not fit")
    fails(lake, source(lake, small, "none", url="mysql://host/shop"), "it is not a PostgreSQL database")


def test_what_the_server_says_is_not_repeated(lake, small):
    told = fails(lake, source(lake, small, "small", units("'secret'::int4 = 1")), "PostgreSQL answers SQLSTATE 22P02")
    assert "secret'" not in told.replace("'secret'::int4", "") and "invalid input syntax" not in told
    fails(lake, source(lake, small, "none", units("")), "PostgreSQL answers SQLSTATE 42P01")
    told = fails(
        lake,
        source(lake, small, "small", url="postgresql://etl:hidden@127.0.0.1:1/shop"),
        "PostgreSQL answers OperationalError",
    )
    assert "hidden" not in told


def test_nothing_is_written_to_the_source(lake, postgres, small):
    with postgres.connect() as connection:
        connection.execute(
            "CREATE FUNCTION put() RETURNS int LANGUAGE sql AS 'INSERT INTO public.small (id) VALUES (9) RETURNING 1'"
        )
    fails(lake, source(lake, small, "small", units("public.put() > 0")), "SQLSTATE 25006")


def test_secrets_have_their_places(monkeypatch):
    monkeypatch.setenv("NAME", "of the variable")
    monkeypatch.setattr(login, "_secret", lambda name: f"<{name}>")
    secret = "projects/p/secrets/s/versions/latest"
    assert login.filled(f"postgresql://${{NAME}}:${{{secret}}}@host") == f"postgresql://of the variable:<{secret}>@host"
    with pytest.raises(Failure, match="has no variable `DATAFLOW_NONE`"):
        login.filled("${DATAFLOW_NONE}")
