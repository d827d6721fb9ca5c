"""Writing the files that are loaded.

Rows are spread over a number of shards, and each shard becomes one file, streamed from its first row to its last. Every
attempt at a shard has a file name of its own, and hands the name on when the file is whole. A worker that is presumed
dead and goes on writing, or a bundle that is carried out twice, leaves a file that nobody names: only the names that
arrive in the next step are loaded. So nothing is renamed, and nothing can be overwritten.
"""

import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from sluice_dataflow import rows, storage
from sluice_dataflow.columns import arrow_schema
from sluice_dataflow.order import Order

# One load job takes no more files. <https://cloud.google.com/bigquery/quotas#load_jobs>
MOST_SHARDS = 10_000
# What a file is to have, of Parquet as the parts have it, or of rows.
SHARD_BYTES = 128 << 20
SHARD_ROWS = 5_000_000
# Bytes of a row group before compression. BigQuery asks for 16 MiB or more, and a writer holds one group.
GROUP_BYTES = 64 << 20
# Encoded rows that are made a batch at a time: a row as Python's values takes ten times its bytes.
DECODED_ROWS = 8192
DECODED_BYTES = 4 << 20


class File(NamedTuple):
    """A file that is whole."""

    url: str
    rows: int


def shards(plan: Order) -> int:
    """How many files an order's rows are to make, at most."""
    wanted = max(-(-plan.bytes // SHARD_BYTES), -(-plan.rows // SHARD_ROWS), 1)
    return min(wanted, MOST_SHARDS)


def shard(place: bytes, count: int) -> int:
    """The shard of whatever has this key, the same in every process. Python's own hash is another in each."""
    return zlib.crc32(place) % count


def pack(batch: pa.RecordBatch) -> bytes:
    """A batch as bytes that carry its schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def unpack(packed: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    """The batches that these bytes are."""
    for each in packed:
        yield from pa.ipc.open_stream(each)


def decoded(encoded: Iterable[bytes], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Encoded rows, in batches."""
    some, size = [], 0
    for row in encoded:
        some.append(row)
        size += len(row)
        if len(some) >= DECODED_ROWS or size >= DECODED_BYTES:
            yield rows.decode(some, schema)
            some, size = [], 0
    if some:
        yield rows.decode(some, schema)


class WriteShards(beam.PTransform):
    """Writes what belongs to each shard, encoded rows or packed batches, and names the files."""

    def __init__(self, plan: Order, packed: bool):
        super().__init__()
        self._plan, self._packed = plan, packed

    def expand(self, content):
        return (
            content
            | "Collect shards" >> beam.GroupByKey()
            | "Write shards" >> beam.Map(_write, self._plan, self._packed).with_output_types(File)
        )


def _write(collected: tuple[int, Iterable[bytes]], plan: Order, packed: bool) -> File:
    number, content = collected
    schema = arrow_schema(plan.columns)
    batches = unpack(content) if packed else decoded(content, schema)
    url = f"{plan.output}{number:05}-{uuid.uuid4().hex}.parquet"
    return File(url, write(url, batches, schema))


def write(url: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Writes a file, and returns how many rows it has."""
    count = 0
    with storage.writer(url) as sink:
        # What Sluice's own parts have: data pages of version 1, decimals as integers where they fit.
        options = {"compression": "zstd", "compression_level": 1, "store_decimal_as_integer": True}
        with pq.ParquetWriter(sink, schema, **options) as writer:
            for group in _groups(batches, schema):
                writer.write_table(group, row_group_size=len(group))
                count += len(group)
    return count


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The batches of one row group after another."""
    group, size = [], 0
    for batch in batches:
        group.append(batch)
        size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(group, schema)
            group, size = [], 0
    if group:
        yield pa.Table.from_batches(group, schema)
