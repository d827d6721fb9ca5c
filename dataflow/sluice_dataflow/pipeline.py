"""The pipeline of an order."""

import logging
import os

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from sluice_dataflow import files, newest, rows, storage
from sluice_dataflow import order as orders
from sluice_dataflow.commit import commit
from sluice_dataflow.failure import Failure
from sluice_dataflow.files import WriteShards
from sluice_dataflow.order import Order
from sluice_dataflow.parts import ReadParts
from sluice_dataflow.postgres import ReadUnits

# The image that this runs in; see the Dockerfile.
IMAGE = "SLUICE_DATAFLOW_IMAGE"


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
    if "Dataflow" in (options.view_as(StandardOptions).runner or ""):
        _set_up_workers(options)
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


def _set_up_workers(options: PipelineOptions):
    """Gives the workers the launcher's own image, which has all packages, so nothing is sent to them or installed."""
    workers, setup = options.view_as(WorkerOptions), options.view_as(SetupOptions)
    workers.sdk_container_image = workers.sdk_container_image or os.environ.get(IMAGE)
    if not workers.sdk_container_image:
        raise Failure(
            "launch the pipeline: nothing says which image the workers have",
            "give the parameter `sdk_container_image`, or build the image with its name",
        )
    # Each thread keeps up to 100,000 rows, one of each key, until Beam sends them on: with Dataflow's twelve threads
    # for each processor, wide rows would not fit in its memory. More than two are no faster, for they share Python.
    debug = options.view_as(DebugOptions)
    debug.number_of_worker_harness_threads = debug.number_of_worker_harness_threads or 2
    setup.sdk_location = "container"
    setup.save_main_session = False


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
        ties = (
            winners | "Ties" >> beam.Map(lambda winner: int(winner[1][2] > 1)) | "Sum ties" >> beam.CombineGlobally(sum)
        )
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
    return ReadParts(url, plan) if plan.source is None else ReadUnits(url, plan)


def _packed(placed: tuple[str, pa.RecordBatch], shards: int) -> tuple[int, bytes]:
    place, batch = placed
    return files.shard(place.encode(), shards), files.pack(batch)


def _keyed(placed: tuple[str, pa.RecordBatch], plan: Order):
    """Each row with its key and its order value."""
    _, batch = placed
    keys = newest.keys(batch, plan.dedup.keys)
    newness = zip(newest.ranks(batch.column(plan.dedup.order)), rows.encode(batch), strict=True)
    return zip(keys, newness, strict=True)


def _sharded(winner: tuple[bytes, newest.Newest], shards: int) -> tuple[int, bytes]:
    key, (_, row, _) = winner
    return files.shard(key, shards), row
