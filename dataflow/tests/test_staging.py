"""The load job: one for an order, whatever happens on the way."""

import pytest
from google.cloud import bigquery
from sluice_dataflow import staging
from sluice_dataflow.failure import Failure
from sluice_dataflow.files import File
from sluice_dataflow.order import parse

from lake import write
from test_newest import COLUMNS, numbers


@pytest.fixture
def table(lake):
    return write(lake.folder, COLUMNS, numbers(*[(id, float(id), 1.0) for id in range(50)]))


@pytest.fixture
def order(lake, table):
    return lake.order(table)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(staging, "PAUSE", 0)


def load(order: dict) -> int:
    return staging.load(parse(order).plan(), [File(url, 0) for url in order["parts"]])


def name(order: dict, number: int) -> str:
    return f"sluice_{order['run']}_0_dataflow_0_{number}"


def start(lake, order: dict, number: int, url: str, **config) -> bigquery.LoadJob:
    """A job that somebody else has started."""
    client = lake.warehouse.client
    config = bigquery.LoadJobConfig(source_format="PARQUET", **config)
    return client.load_table_from_uri(
        url, f"shop.sales.{order['staging']['table']}", job_id=name(order, number), job_config=config
    )


def test_the_request(stub, order):
    assert load(order) == 50
    [(id, job)] = stub.jobs.items()
    assert id == name(order, 0) and job["jobReference"] == {"projectId": "shop", "jobId": id, "location": "US"}
    fields = [
        {"name": "id", "type": "INT64", "mode": "NULLABLE"},
        {"name": "key", "type": "FLOAT64", "mode": "NULLABLE"},
        {"name": "at", "type": "FLOAT64", "mode": "NULLABLE"},
    ]
    table = {"projectId": "shop", "datasetId": "sales", "tableId": order["staging"]["table"]}
    assert job["configuration"] == {
        "jobType": "LOAD",
        "labels": {"sluice_run": order["run"]},
        "load": {
            "sourceUris": order["parts"],
            "destinationTable": table,
            "sourceFormat": "PARQUET",
            "parquetOptions": {"enableListInference": True},
            "schema": {"fields": fields},
            "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC"],
            "writeDisposition": "WRITE_TRUNCATE_DATA",
            "createDisposition": "CREATE_IF_NEEDED",
        },
    }
    made = stub.tables[order["staging"]["table"]]
    assert (
        made["schema"] == {"fields": fields}
        and made["labels"] == {"sluice_run": order["run"]}
        and made["expirationTime"]
    )


def test_a_job_that_exists_is_adopted(lake, order):
    start(lake, order, 0, order["parts"][0]).result()
    assert load(order) == 50 and load(order) == 50
    assert len(lake.jobs(order)) == 1


def test_the_number_after_one_that_failed(lake, order):
    for number in (0, 1):
        with pytest.raises(Exception):
            start(lake, order, number, "gs://lake/none.parquet").result()
    assert load(order) == 50
    jobs = lake.jobs(order)
    assert [job.error_result is None for job in jobs] == [False, False, True] and jobs[2].output_rows == 50


def test_a_table_that_has_expired_is_filled_again(lake, order):
    assert load(order) == 50
    lake.warehouse.client.delete_table(f"shop.sales.{order['staging']['table']}")
    assert load(order) == 50
    assert len(lake.jobs(order)) == 2 and lake.warehouse.count(order["staging"]["table"]) == 50


def test_rows_of_an_earlier_load_are_replaced(lake, order):
    lake.warehouse.client.load_table_from_uri(
        order["parts"][0],
        f"shop.sales.{order['staging']['table']}",
        job_config=bigquery.LoadJobConfig(source_format="PARQUET"),
    ).result()
    assert load(order) == 50 and lake.warehouse.count(order["staging"]["table"]) == 50


def test_a_job_that_fills_another_table_is_not_adopted(lake, order):
    client = lake.warehouse.client
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    client.load_table_from_uri(order["parts"][0], "shop.sales.other", job_id=name(order, 0), job_config=config).result()
    with pytest.raises(Failure, match=f"job `{name(order, 0)}` exists, and it fills no such table"):
        load(order)


def test_a_passing_failure_is_tried_again(stub, order):
    stub.failures = ["backendError", "internalError"]
    assert load(order) == 50 and list(stub.jobs) == [name(order, number) for number in range(3)]


def test_a_failure_that_goes_on(stub, order):
    stub.failures = ["backendError"] * 9
    with pytest.raises(Failure, match="for the reason `backendError`"):
        load(order)
    assert len(stub.jobs) == staging.MOST_JOBS


def test_a_failure_that_stays_is_told_without_bigquerys_message(stub, order):
    stub.failures = ["invalid"]
    with pytest.raises(Failure) as failed:
        load(order)
    assert "BigQuery refused the files, for the reason `invalid`" in str(failed.value)
    assert f"`bq --location=US show -j shop:{name(order, 0)}`" in str(failed.value)
    assert "secret" not in str(failed.value) and len(stub.jobs) == 1


def test_rows_that_bigquery_does_not_count(lake, stub, order):
    stub.lost = 1
    with pytest.raises(Exception, match="BigQuery has 49 rows in `shop.sales.staging_.*`, and 50 were written"):
        lake.carry_out(order)
    assert lake.result(order) is None


def test_rows_where_there_should_be_none(lake, order, table):
    """The order has no rows, but its staging table has."""
    load(order)
    with pytest.raises(Failure, match="the order has no rows, and the table has 50"):
        staging.load(parse(order).plan(), [])
