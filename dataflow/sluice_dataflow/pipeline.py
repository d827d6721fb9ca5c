"""The pipeline of an order."""

import logging

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, SetupOptions

from sluice_dataflow import files, newest, order as orders, rows, storage
from sluice_dataflow.commit import commit
from sluice_dataflow.files import WriteShards
from sluice_dataflow.order import Order
from sluice_dataflow.parts import ReadParts


class OrderOptions(PipelineOptions):
    """What is said to the pipeline beside Beam's own options."""

    @classmethod
    def _add_argparse_args(cls, parser):
        parser.add_argument("--order", required=True, help="URL of the order: gs://bucket/name, or file:///path")


def run(arguments: list[str] | None = None):
    """Carries out an order. On Dataflow, the job goes on when this returns."""
    options = PipelineOptions(arguments)
    url = options.view_as(OrderOptions).order
    order = orders.read(url)
    google = options.view_as(GoogleCloudOptions)
    google.job_name = google.job_name or order.job
    # What this module imports is part of the image, so nothing of the launcher's memory is sent.
    options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(options=options)
    if storage.exists(order.result):
        # Whoever launches a template expects a job. This one does nothing.
        logging.info("`%s` exists: the order is carried out", order.result)
        pipeline | "Nothing to do" >> beam.Create([url])
    else:
        build(pipeline, url, order.plan())
    ended = pipeline.run()
    # The launcher of a template is not to wait for the job. A runner on this machine ends with the process.
    if not hasattr(ended, "job_id"):
        ended.wait_until_finish()


def build(pipeline: beam.Pipeline, url: str, plan: Order):
    """Adds the steps of an order to a pipeline. The workers take the parts from the order's URL."""
    batches = pipeline | "Read" >> _reader(url, plan)
    rows_read = (
        batches
        | "Count batches" >> beam.Map(lambda batch: len(batch[1])).with_output_types(int)
        | "Rows read" >> beam.CombineGlobally(sum)
    )
    if plan.dedup is None:
        written = batches | "Pack" >> beam.Map(_packed, files.shards(plan)).with_output_types(tuple[int, bytes])
        written |= "Write" >> WriteShards(plan, packed=True)
        ties = pipeline | "No ties" >> beam.Create([0])
    else:
        winners = (
            batches
            | "Encode" >> beam.FlatMap(_keyed, plan).with_output_types(tuple[bytes, tuple[bytes, bytes]])
            | "Newest" >> beam.CombinePerKey(newest.TakeNewest())
        )
        ties = winners | "Ties" >> beam.Map(lambda winner: int(winner[1][2] > 1)) | "Sum ties" >> beam.CombineGlobally(sum)
        written = winners | "Shard" >> beam.Map(_sharded, files.shards(plan)).with_output_types(tuple[int, bytes])
        written |= "Write" >> WriteShards(plan, packed=False)
    (
        pipeline
        | "Once" >> beam.Create([None])
        | "Load"
        >> beam.Map(
            lambda _, *given: commit(plan, *given),
            beam.pvalue.AsList(written),
            beam.pvalue.AsSingleton(rows_read),
            beam.pvalue.AsSingleton(ties),
        )
    )


def _reader(url: str, plan: Order) -> beam.PTransform:
    return ReadParts(url, plan)


def _packed(placed: tuple[str, pa.RecordBatch], shards: int) -> tuple[int, bytes]:
    place, batch = placed
    return files.shard(place.encode(), shards), files.pack(batch)


def _keyed(placed: tuple[str, pa.RecordBatch], plan: Order):
    """Each row with its key and its order value."""
    _, batch = placed
    keys = newest.keys(batch, plan.dedup.keys)
    return zip(keys, zip(newest.ranks(batch.column(plan.dedup.order)), rows.encode(batch)))


def _sharded(winner: tuple[bytes, newest.Newest], shards: int) -> tuple[int, bytes]:
    key, (_, row, _) = winner
    return files.shard(key, shards), row
