"""Reading a PostgreSQL table without part files: a unit of the order at a time.

Every unit is one query of one connection, and sees the table at a moment of its own, for no snapshot is held between
workers. Where the table changes meanwhile, a row that moves from one unit to another is read twice or not at all; a
table that has to be of one moment is for Sluice's own tasks.
"""

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from sluice_dataflow import login, rows
from sluice_dataflow import order as orders
from sluice_dataflow.columns import arrow_schema
from sluice_dataflow.failure import Failure
from sluice_dataflow.order import Order, Unit
from sluice_dataflow.wire import Unfit, Wire, wire

# What is in memory at a time.
BATCH_ROWS = 8192
BATCH_BYTES = 8 << 20
# What makes a value's text depend on its type alone. The server's own functions come before others of their name. All
# ends with the transaction, for a pooler may lend the connection to another program then. A row that a policy would
# hide is an error.
SETTINGS = """
    select pg_catalog.set_config('search_path', pg_catalog.rtrim(
        pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path')), ', '), true);
    set local client_encoding to 'UTF8'; set local datestyle to 'ISO, YMD';
    set local intervalstyle to 'iso_8601'; set local timezone to 'UTC'; set local extra_float_digits to 3;
    set local bytea_output to 'hex'; set local xmloption to 'content'; set local quote_all_identifiers to off;
    set local row_security to off; set local idle_in_transaction_session_timeout to 0"""
# What units' predicates call the relation.
ALIAS = "_sluice"


class ReadUnits(beam.PTransform):
    """The rows of an order's units, as Arrow record batches, each with its place in the table."""

    def __init__(self, url: str, plan: Order):
        super().__init__()
        # The whole URL may be a secret, which only workers see.
        if not plan.source.url.startswith("${"):
            _require_postgres(plan.source.url)
        # Refuses what cannot be read, before anything is.
        for column in plan.columns:
            wire(column)
        self._url, self._plan = url, plan

    def expand(self, begin):
        return (
            begin
            | "Order" >> beam.Create([self._url])
            | "Name units" >> beam.FlatMap(lambda url: orders.read(url).source.units).with_output_types(Unit)
            | "Spread units" >> beam.Reshuffle()
            | "Read units" >> beam.FlatMap(read_unit, self._plan)
        )


def read_unit(unit: Unit, plan: Order) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of a unit, and what names them."""
    # The driver is part of the image, and of no installation that reads parts alone.
    import psycopg

    wires = [wire(column) for column in plan.columns]
    where = f" where {unit.predicate}" if unit.predicate else ""
    query = f"select {', '.join(each.expression for each in wires)} from {plan.source.relation} as {ALIAS}{where}"
    what = f"read unit {unit.index} of `{plan.source.relation}`"
    before = 0
    try:
        url = login.filled(plan.source.url)
        _require_postgres(url)
        with psycopg.connect(url, application_name=plan.job) as connection:
            connection.execute("set transaction read only")
            connection.execute(SETTINGS)
            with connection.cursor().copy(f"copy ({query}) to stdout (format binary)") as copy:
                for batch in _batches(copy.rows(), plan, wires, what):
                    yield f"{unit.index} {before}", batch
                    before += len(batch)
    except psycopg.Error as error:
        # The driver's and the server's own words may quote a value, or the URL.
        code = f"SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
        raise Failure(f"{what}: PostgreSQL answers {code}", "the server's log has its own message") from None


def _require_postgres(url: str):
    if not url.startswith(("postgres://", "postgresql://")):
        raise Failure("read the source: it is not a PostgreSQL database", "let Sluice's own tasks read the table")


def _batches(copied, plan: Order, wires: list[Wire], what: str) -> Iterator[pa.RecordBatch]:
    """The copied rows, as many at a time as memory is to hold."""
    some, size = [], 0
    for row in copied:
        some.append(row)
        size += sum(len(value) for value in row if value is not None)
        if len(some) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(some, plan, wires, what)
            some, size = [], 0
    if some:
        yield _batch(some, plan, wires, what)


def _batch(some: list[tuple], plan: Order, wires: list[Wire], what: str) -> pa.RecordBatch:
    schema, made = arrow_schema(plan.columns), []
    for column, field, each, values in zip(plan.columns, schema, wires, zip(*some)):
        try:
            plain = [None if value is None else each.decode(value) for value in values]
        except Unfit:
            raise Failure(
                f"{what}: column `{column.source_name}` has a value that {column.target_type} cannot hold",
                "load the column as STRING (`columns.<name>.type: string`), or leave the row out (`source.where`)",
            ) from None
        made.append(rows.build(plain, field.type))
    return pa.RecordBatch.from_arrays(made, schema=schema)
