"""The order: the document by which the loader says what is to be done."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from sluice_dataflow import storage
from sluice_dataflow.columns import TARGET_TYPES, Column
from sluice_dataflow.failure import Failure
from sluice_dataflow.fields import HINT, Fields

VERSION = 1
# Keys of a column that change nothing here.
REMARKS = ("nullable", "max_length", "description", "invalid")


@dataclass(frozen=True)
class Dedup:
    """Of the rows with one key, the one with the greatest order value is kept. Names are those in the target."""

    keys: tuple[str, ...]
    order: str


@dataclass(frozen=True)
class Staging:
    """The table that is loaded."""

    project: str
    dataset: str
    table: str
    location: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


@dataclass(frozen=True)
class Unit:
    """The rows of the source that meet a condition."""

    index: int
    predicate: str


@dataclass(frozen=True)
class Source:
    """A table of a database that is read without part files."""

    url: str
    relation: str
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Order:
    """What is to be read, which rows are kept, and where they go."""

    run: str
    table: int
    generation: int
    job: str
    columns: tuple[Column, ...]
    schema: tuple[dict, ...]
    parts: tuple[str, ...]
    source: Source | None
    rows: int
    bytes: int
    dedup: Dedup | None
    staging: Staging
    output: str

    @property
    def result(self) -> str:
        """URL of the document that says that the order is carried out."""
        return f"{self.output}result.json"

    def plan(self) -> "Order":
        """The order without its parts and units. These may be too many for a job's graph, whose size Dataflow
        limits to 20 MB, so the workers take them from the document itself."""
        source = self.source and dataclasses.replace(self.source, units=())
        return dataclasses.replace(self, parts=(), source=source)


def read(url: str) -> Order:
    """Reads and checks an order."""
    content = storage.read(url)
    try:
        return parse(json.loads(content))
    except ValueError:
        raise Failure(f"read order `{url}`: it is not a JSON document", HINT) from None
    except Failure as failure:
        raise Failure(f"read order `{url}`: {failure.message}", failure.hint) from None


def parse(document: Any) -> Order:
    """Checks a document, and returns the order that it is."""
    version = document.get("version") if isinstance(document, dict) else None
    # Of another version nothing else is known, so nothing else of it is looked at.
    if isinstance(document, dict) and "version" in document and version != VERSION:
        raise Failure(f"`version` is {version!r}, and this image knows {VERSION}", HINT)
    taken = Fields(document, "")
    taken.integer("version")
    order = Order(
        run=taken.name("run"),
        table=taken.integer("table"),
        generation=taken.integer("generation"),
        job=taken.name("job"),
        columns=tuple(_column(item, f"columns[{at}]") for at, item in enumerate(taken.items("columns"))),
        schema=tuple(taken.items("schema")),
        parts=tuple(taken.urls("parts", ())),
        source=_source(taken.take("source", dict, None)),
        rows=taken.integer("rows"),
        bytes=taken.integer("bytes"),
        dedup=_dedup(taken.take("dedup", dict, None)),
        staging=_staging(taken.take("staging", dict)),
        output=taken.url("output"),
    )
    taken.end()
    _check(order, document)
    return order


def _check(order: Order, document: dict):
    """Whether the order's parts agree with each other."""
    if ("parts" in document) == (order.source is not None):
        raise Failure("there has to be one of `parts` and `source`", HINT)
    if not order.output.endswith("/"):
        raise Failure(f"`output` has to end with `/`, and is `{order.output}`", HINT)
    if len(set(order.parts)) != len(order.parts):
        raise Failure("`parts` names a file twice", HINT)
    names = [column.name for column in order.columns]
    if len(set(names)) != len(names) or not names:
        raise Failure("`columns` has no columns, or two of one name", HINT)
    if [isinstance(field, dict) and field.get("name") for field in order.schema] != names:
        raise Failure("`schema` has other columns than `columns`, or another order of them", HINT)
    by_name = {column.name: column for column in order.columns}
    for path, name in _compared(order.dedup):
        if name not in by_name:
            raise Failure(f"`{path}` names `{name}`, which is not a column", HINT)
        if not by_name[name].compares:
            kind = by_name[name].target_type
            kind = f"ARRAY<{kind}>" if by_name[name].repeated else kind
            raise Failure(
                f"`{path}` names `{name}`, which is {kind}: such values cannot be compared",
                "choose a number, text, bytes, a date or a time",
            )


def _compared(dedup: Dedup | None) -> list[tuple[str, str]]:
    """The places in the order that name columns whose values are compared, and the names."""
    if dedup is None:
        return []
    if not dedup.keys or len(set(dedup.keys)) != len(dedup.keys):
        raise Failure("`dedup.keys` has no columns, or one twice", HINT)
    return [*(("dedup.keys", key) for key in dedup.keys), ("dedup.order", dedup.order)]


def _column(document: Any, path: str) -> Column:
    taken = Fields(document, path)
    decimal = taken.take("decimal", dict, None)
    if decimal is not None:
        digits = Fields(decimal, f"{path}.decimal")
        decimal = (digits.integer("precision"), digits.integer("scale"))
        digits.end()
        if not 1 <= decimal[0] <= 76 or decimal[1] > decimal[0]:
            raise Failure(f"`{path}.decimal` is not a number of digits", HINT)
    column = Column(
        name=taken.text("name"),
        source_name=taken.text("source_name"),
        source_type=taken.text("source_type"),
        encoding=taken.text("encoding", empty=True),
        target_type=taken.text("target_type"),
        repeated=taken.take("repeated", bool, False),
        decimal=decimal,
        fields=tuple(_column(item, f"{path}.fields[{at}]") for at, item in enumerate(taken.items("fields", ()))),
        on_invalid=taken.text("on_invalid", "fail"),
        remarks={key: taken.take(key, object, None) for key in REMARKS},
    )
    taken.end()
    if column.target_type not in TARGET_TYPES:
        raise Failure(f"`{path}.target_type` is `{column.target_type}`, which is not known", HINT)
    if (column.target_type == "STRUCT") != bool(column.fields):
        raise Failure(f"`{path}.fields` has to have the fields of a STRUCT, and of nothing else", HINT)
    return column


def _dedup(document: dict | None) -> Dedup | None:
    if document is None:
        return None
    taken = Fields(document, "dedup")
    keys = taken.items("keys")
    if not all(isinstance(key, str) for key in keys):
        raise Failure("`dedup.keys` has to be names of columns", HINT)
    dedup = Dedup(keys=tuple(keys), order=taken.text("order"))
    taken.end()
    return dedup


def _staging(document: dict) -> Staging:
    taken = Fields(document, "staging")
    staging = Staging(*(taken.text(key) for key in ("project", "dataset", "table", "location")))
    taken.end()
    return staging


def _source(document: dict | None) -> Source | None:
    if document is None:
        return None
    taken = Fields(document, "source")
    url, relation, units = taken.text("url"), taken.text("relation"), []
    for at, item in enumerate(taken.items("units")):
        unit = Fields(item, f"source.units[{at}]")
        units.append(Unit(unit.integer("index"), unit.text("predicate", empty=True)))
        unit.end()
    taken.end()
    return Source(url, relation, tuple(units))
