"""The load job that fills the staging table.

Beam's own WriteToBigQuery is not used: it writes rows as JSON, in which bytes become text that BigQuery does not read
back as the same bytes; it chooses the names of its jobs itself, so a retried job could load twice; and no option of
its points it at another server than Google's.
"""

import datetime
import os
import time

from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from sluice_dataflow.failure import Failure
from sluice_dataflow.files import File
from sluice_dataflow.order import Order

ENDPOINT = "SLUICE_BIGQUERY_ENDPOINT"
# How long a staging table exists if nobody comes back to it.
KEPT = datetime.timedelta(days=1)
# Reasons of a failure that the same job may not have again.
# <https://cloud.google.com/bigquery/docs/error-messages#errortable>
PASSING = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "rateLimitExceeded",
    "jobRateLimitExceeded",
}
# Jobs that are started by one try of this step.
MOST_JOBS = 5
# Seconds before the second job of a try; each pause is twice as long as the one before.
PAUSE = 10


def load(plan: Order, files: list[File]) -> int:
    """Makes the staging table hold exactly the rows of the files, whatever it held. Returns how many there are.

    The number of the order's jobs goes up when one has failed. One that exists and has not failed is taken for ours:
    the order is the same, and so are the rows.
    """
    client = _client(plan)
    table = _make_table(client, plan)
    if not files:
        # A load job takes at least one file.
        return _rows_of_empty(client, plan)
    started, number = 0, 0
    while True:
        name = f"sluice_{plan.run}_{plan.table}_dataflow_{plan.generation}_{number}"
        try:
            job = client.load_table_from_uri(
                [file.url for file in files],
                table,
                job_id=name,
                location=plan.staging.location,
                job_config=_config(plan),
            )
            ours = True
        except exceptions.Conflict:
            job, ours = _existing(client, plan, name), False
        started += ours
        reason = _end(job)
        if reason is None and (ours or _has_table(client, plan)):
            return int(job.output_rows)
        if ours and (reason not in PASSING or started == MOST_JOBS):
            raise _refused(plan, name, reason)
        if ours:
            time.sleep(PAUSE * 2 ** (started - 1))
        number += 1


def _client(plan: Order) -> bigquery.Client:
    endpoint = os.environ.get(ENDPOINT)
    # A token is sent over TLS only.
    credentials = AnonymousCredentials() if endpoint and endpoint.startswith("http://") else None
    options = ClientOptions(api_endpoint=endpoint) if endpoint else None
    return bigquery.Client(plan.staging.project, credentials, client_options=options, location=plan.staging.location)


def _make_table(client: bigquery.Client, plan: Order) -> bigquery.Table:
    """The staging table. It expires, in case that no loader takes its rows."""
    table = bigquery.Table(str(plan.staging), _schema(plan))
    table.expires = datetime.datetime.now(datetime.UTC) + KEPT
    table.labels = {"sluice_run": plan.run}
    return client.create_table(table, exists_ok=True)


def _rows_of_empty(client: bigquery.Client, plan: Order) -> int:
    rows = client.get_table(str(plan.staging)).num_rows
    if rows:
        raise Failure(
            f"load `{plan.staging}`: the order has no rows, and the table has {rows}",
            "delete the table, and move the source's table again",
        )
    return 0


def _schema(plan: Order) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField.from_api_repr(field) for field in plan.schema]


def _config(plan: Order) -> bigquery.LoadJobConfig:
    parquet = bigquery.ParquetOptions()
    # Arrays are arrays, not structs of a list.
    parquet.enable_list_inference = True
    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        parquet_options=parquet,
        schema=_schema(plan),
        # The first that holds a column's digits is taken; without the second BIGNUMERIC is refused.
        decimal_target_types=[bigquery.DecimalTargetType.NUMERIC, bigquery.DecimalTargetType.BIGNUMERIC],
        # The table keeps how it is partitioned and clustered, as the target is.
        write_disposition="WRITE_TRUNCATE_DATA",
        create_disposition=bigquery.CreateDisposition.CREATE_IF_NEEDED,
        labels={"sluice_run": plan.run},
    )


def _existing(client: bigquery.Client, plan: Order, name: str) -> bigquery.LoadJob:
    """The job that has this name, which has to fill the same table."""
    job = client.get_job(name, location=plan.staging.location)
    destination = getattr(job, "destination", None)
    if not isinstance(job, bigquery.LoadJob) or destination.to_api_repr()["tableId"] != plan.staging.table:
        raise Failure(
            f"load `{plan.staging}`: job `{name}` exists, and it fills no such table",
            "start the run again: it gets names of its own",
        )
    return job


def _end(job: bigquery.LoadJob) -> str | None:
    """Waits for the end of a job. Returns the reason why it failed, if it did."""
    try:
        job.result()
    except exceptions.GoogleAPICallError:
        # Also raised if BigQuery could not be asked; then there is no reason, and the step is tried again.
        if not job.error_result:
            raise
    return job.error_result["reason"] if job.error_result else None


def _has_table(client: bigquery.Client, plan: Order) -> bool:
    """Whether the rows of a job that ended before are still there. The table that was made just now has none."""
    table = client.get_table(str(plan.staging))
    return table.num_rows > 0


def _refused(plan: Order, name: str, reason: str) -> Failure:
    """BigQuery's own message may quote a cell, so it is not shown."""
    return Failure(
        f"load `{plan.staging}`: BigQuery refused the files, for the reason `{reason}`",
        f"`bq --location={plan.staging.location} show -j {plan.staging.project}:{name}` shows BigQuery's own message",
    )
