"""The last step: the counts agree, the files are loaded, the result is written."""

import json
import logging

from sluice_dataflow import staging, storage
from sluice_dataflow.failure import Failure
from sluice_dataflow.files import File
from sluice_dataflow.order import Order

VERSION = 1


def commit(plan: Order, files: list[File], rows_read: int, ties: int) -> dict:
    """Loads the files and writes the result. It may be called again after a fault at any place.

    Nothing is loaded unless the parts have as many rows as the receipts of the run say, and no result is written unless
    BigQuery counts as many rows as were written.
    """
    rows_written = sum(file.rows for file in files)
    # How many rows a table of the source has is known when it is read; the order's number is an estimate then.
    if plan.source is None and rows_read != plan.rows:
        raise Failure(
            f"check run `{plan.run}`: the parts have {rows_read} rows, and the order says {plan.rows}",
            "nothing was loaded; the parts were changed after they were written: move the table again",
        )
    if plan.dedup is None and rows_written != rows_read:
        raise Failure(
            f"check run `{plan.run}`: {rows_read} rows were read and {rows_written} were written",
            "nothing was loaded; this is our bug: please report it with the order",
        )
    loaded = staging.load(plan, sorted(files))
    if loaded != rows_written:
        raise Failure(
            f"check run `{plan.run}`: BigQuery has {loaded} rows in `{plan.staging}`, and {rows_written} were written",
            "nothing was made visible; move the table again",
        )
    result = {
        "version": VERSION,
        "rows_read": rows_read,
        "rows_written": rows_written,
        "rows_dropped": rows_read - rows_written,
        "ties": ties,
        "files": len(files),
    }
    if not storage.create(plan.result, json.dumps(result).encode()):
        # This step is done again, or another job carried the same order out.
        logging.info("`%s` exists already, and stays as it is", plan.result)
    return result
