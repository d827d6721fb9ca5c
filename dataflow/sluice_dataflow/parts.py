"""Reading part files, a row group at a time."""

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from sluice_dataflow import order as orders
from sluice_dataflow import storage
from sluice_dataflow.columns import arrow_schema
from sluice_dataflow.failure import Failure
from sluice_dataflow.order import Order

# Rows that are in memory at a time, of the columns of one row group, and bytes that are handed on at a time.
BATCH = 8192
PIECE = 8 << 20
REPEAT = "the part is not as Sluice wrote it: move the table again"


class ReadParts(beam.PTransform):
    """The rows of an order's parts, as Arrow record batches, each with its place in the table.

    Parts are named by workers, not by the job's graph, and every row group is an element of its own. Between the steps
    the elements are spread over all workers.
    """

    def __init__(self, url: str, plan: Order):
        super().__init__()
        self._url, self._plan = url, plan

    def expand(self, begin):
        return (
            begin
            | "Order" >> beam.Create([self._url])
            | "Name parts" >> beam.FlatMap(lambda url: orders.read(url).parts).with_output_types(str)
            | "Spread parts" >> beam.Reshuffle()
            | "Name row groups" >> beam.FlatMap(row_groups, self._plan).with_output_types(tuple[str, int])
            | "Spread row groups" >> beam.Reshuffle()
            | "Read row groups" >> beam.FlatMap(batches, self._plan)
        )


def row_groups(url: str, plan: Order) -> Iterator[tuple[str, int]]:
    """The row groups of a part, of which every column is as the order says."""
    with storage.reader(url) as source:
        file = _open(url, source)
        wanted, found = arrow_schema(plan.columns), file.schema_arrow
        if not found.equals(wanted):
            raise Failure(
                f"read `{url}`: {_difference(found, wanted)}",
                "the order is of another table, or of another version of Sluice",
            )
        groups = file.num_row_groups
    for group in range(groups):
        yield url, group


def batches(place: tuple[str, int], plan: Order) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of a row group, and what names them whoever reads them: the part, the group, and the number of rows
    before."""
    url, group = place
    before = 0
    with storage.reader(url) as source:
        file = _open(url, source)
        stated = file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(BATCH, row_groups=[group]):
                for piece in _pieces(batch):
                    yield f"{url} {group} {before}", piece
                    before += len(piece)
        except (pa.ArrowException, OSError) as error:
            raise Failure(f"read `{url}`: row group {group} cannot be read ({type(error).__name__})", REPEAT) from None
    if before != stated:
        raise Failure(f"read `{url}`: row group {group} has {before} rows, and its footer says {stated}", REPEAT)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in pieces of some bytes, whatever the width of its rows: workers send each as one element."""
    size = max(1, len(batch) * PIECE // max(batch.nbytes, PIECE))
    for start in range(0, len(batch), size):
        yield batch.slice(start, size)


def _open(url: str, source) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(source, pre_buffer=True)
    except (pa.ArrowException, OSError) as error:
        # The library's own words may quote the file.
        raise Failure(f"read `{url}`: it is not a whole Parquet file ({type(error).__name__})", REPEAT) from None


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    """The first way in which two schemas differ."""
    for at, field in enumerate(wanted):
        if at >= len(found.names) or found.field(at).name != field.name:
            return f"column {at + 1} of the order, `{field.name}`, is not column {at + 1} of the part"
        if not found.field(at).equals(field):
            return f"column `{field.name}` is `{found.field(at).type}`, and the order says `{field.type}`"
    return f"it has {len(found.names)} columns, and the order {len(wanted)}"
